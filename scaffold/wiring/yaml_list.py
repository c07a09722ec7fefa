"""`yaml.add_list_item`: one more item in a list of a YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaffold.quoting import yaml as quote
from scaffold.wiring.edit import ShapeError
from scaffold.wiring.yaml_nodes import (
    find,
    is_empty,
    last_line,
    lines_of,
    load,
    value_at,
)

_INDENT = 2


@dataclass(frozen=True)
class AddListItem:
    """Add `item` at the end of the list at `key` ("trainer.callbacks").

    A list that is not there yet is made; a mapping in its place (a single logger)
    becomes the list's first item.
    """

    file: str
    key: str
    item: Any

    def is_applied(self, text: str) -> bool:
        """Tell whether the list has an equal item."""
        return self.item in self._items(load(text))

    def is_changed(self, text: str) -> bool:
        """Tell whether the list has an item of the same class, with other arguments."""
        path = self.item.get("class_path") if isinstance(self.item, dict) else None
        return path is not None and any(
            item != self.item
            and isinstance(item, dict)
            and item.get("class_path") == path
            for item in self._items(load(text))
        )

    def apply(self, text: str) -> str:
        """Return `text` with the item at the list's end."""
        wanted = [*self._items(load(text)), self.item]
        return self._checked(self._insert(text), wanted)

    def revert(self, text: str) -> str:
        """Return `text` without the item."""
        items = self._items(load(text))
        index = items.index(self.item)
        wanted = items[:index] + items[index + 1 :]
        return self._checked(self._delete(text, index), wanted)

    def snippet(self) -> tuple[str, str]:
        """Return the item as a block, and the list that it belongs to."""
        return "\n".join(_block(self.item)), f"the list {self.key} of {self.file}"

    def _checked(self, changed: str, wanted: list[Any]) -> str:
        """Return `changed` if its list is `wanted`: YAML has more forms than we know."""
        from ruamel.yaml.error import YAMLError

        try:
            items = self._items(load(changed))
        except YAMLError:
            raise ShapeError(self.key) from None
        if items != wanted:
            raise ShapeError(self.key)
        return changed

    def _items(self, data: Any) -> list[Any]:
        """Return the list, as far as there is one; a mapping counts as its only item."""
        value = value_at(data, self.key)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def _insert(self, text: str) -> str:
        parent, entry = find(text, self.key)
        if parent is None:
            raise ShapeError(self.key)
        value = entry[1] if entry else None
        lines = lines_of(text)
        if value is None or is_empty(value):
            return self._insert_list(lines, parent, entry)
        if value.id == "mapping" and not value.flow_style:
            return self._insert_after_mapping(lines, value)
        if value.id != "sequence" or value.flow_style:
            raise ShapeError(self.key)
        column = value.start_mark.column
        end = last_line(value) + 1
        lines[end:end] = _block_lines(self.item, column)
        return "".join(lines)

    def _insert_list(self, lines: list[str], parent: Any, entry: Any) -> str:
        """Make the list, under a key that is there without content or not at all."""
        column = parent.start_mark.column
        item = _block_lines(self.item, column + _INDENT)
        if entry is None:
            name = self.key.rpartition(".")[2]
            line = last_line(parent)
            item.insert(0, f"{' ' * column}{name}:\n")
        else:
            key, value = entry
            line = key.start_mark.line
            if value.start_mark.line == line:
                start, end = value.start_mark.column, value.end_mark.column
                lines[line] = lines[line][:start].rstrip() + lines[line][end:]
        lines[line + 1 : line + 1] = item
        return "".join(lines)

    def _insert_after_mapping(self, lines: list[str], value: Any) -> str:
        """Turn the mapping into the first item of a list, the new one into the second."""
        first, last = value.start_mark.line, last_line(value)
        column = value.start_mark.column
        for number in range(first, last + 1):
            if lines[number].strip():
                mark = "- " if number == first else "  "
                lines[number] = " " * column + mark + lines[number][column:]
        lines[last + 1 : last + 1] = _block_lines(self.item, column)
        return "".join(lines)

    def _delete(self, text: str, index: int) -> str:
        _, entry = find(text, self.key)
        value = entry[1] if entry else None
        if value is None or value.id != "sequence" or value.flow_style:
            raise ShapeError(self.key)
        lines = text.splitlines(keepends=True)
        nodes = value.value
        first, last = nodes[index].start_mark.line, last_line(nodes[index])
        del lines[first : last + 1]
        if len(nodes) == 1:
            above = next(n for n in range(first - 1, -1, -1) if ":" in lines[n])
            lines[above] = lines[above].replace(":", ": []", 1)
        return "".join(lines)


def _block_lines(item: Any, column: int) -> list[str]:
    return [f"{' ' * column}{line}\n" for line in _block(item)]


def _block(item: Any) -> Iterator[str]:
    """Yield the lines of a list item in block style."""
    if not isinstance(item, Mapping):
        yield f"- {quote(item)}"
        return
    mark = "- "
    for line in _mapping(item, 0):
        yield mark + line
        mark = "  "


def _mapping(mapping: Mapping[str, Any], column: int) -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield f"{' ' * column}{key}:"
            yield from _mapping(value, column + _INDENT)
        elif isinstance(value, Mapping):
            yield f"{' ' * column}{key}: {{}}"
        else:
            yield f"{' ' * column}{key}: {quote(value)}"
