"""`yaml.set_key`: a value that a YAML file did not set before."""

from __future__ import annotations

from dataclasses import dataclass

from scaffold.quoting import Value
from scaffold.quoting import yaml as quote
from scaffold.wiring.edit import ShapeError
from scaffold.wiring.yaml_nodes import find, last_line, lines_of, load, value_at


@dataclass(frozen=True)
class SetKey:
    """Set `key` ("trainer.profiler") to `value`, where it has no value yet."""

    file: str
    key: str
    value: Value

    def is_applied(self, text: str) -> bool:
        """Tell whether the key has the value."""
        return bool(value_at(load(text), self.key) == self.value)

    def is_changed(self, text: str) -> bool:
        """Tell whether the key has another value."""
        return value_at(load(text), self.key) not in (None, self.value)

    def apply(self, text: str) -> str:
        """Return `text` with the key as the last of its mapping."""
        parent, entry = find(text, self.key)
        if parent is None or entry is not None:
            raise ShapeError(self.key)
        lines = lines_of(text)
        line = f"{' ' * parent.start_mark.column}{self._line()}\n"
        lines.insert(last_line(parent) + 1, line)
        return "".join(lines)

    def revert(self, text: str) -> str:
        """Return `text` without the key."""
        parent, entry = find(text, self.key)
        if entry is None or len(parent.value) == 1:
            raise ShapeError(self.key)
        name, value = entry
        lines = lines_of(text)
        del lines[name.start_mark.line : last_line(value) + 1]
        return "".join(lines)

    def snippet(self) -> tuple[str, str]:
        """Return the line, and the mapping that it belongs to."""
        return self._line(), f"{self.key.rpartition('.')[0]} in {self.file}"

    def _line(self) -> str:
        return f"{self.key.rpartition('.')[2]}: {quote(self.value)}"
