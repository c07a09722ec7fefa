"""`yaml.add_list_item`: one more item in a list of a YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaffold.quoting import yaml as quote
from scaffold.wiring.edit import ShapeError

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
        return self.item in self._items(_load(text))

    def is_changed(self, text: str) -> bool:
        """Tell whether the list has an item of the same class, with other arguments."""
        path = self.item.get("class_path") if isinstance(self.item, dict) else None
        return path is not None and any(
            item != self.item
            and isinstance(item, dict)
            and item.get("class_path") == path
            for item in self._items(_load(text))
        )

    def apply(self, text: str) -> str:
        """Return `text` with the item at the list's end."""
        wanted = [*self._items(_load(text)), self.item]
        return self._checked(self._insert(text), wanted)

    def revert(self, text: str) -> str:
        """Return `text` without the item."""
        items = self._items(_load(text))
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
            items = self._items(_load(changed))
        except YAMLError:
            raise ShapeError(self.key) from None
        if items != wanted:
            raise ShapeError(self.key)
        return changed

    def _items(self, data: Any) -> list[Any]:
        """Return the list, as far as there is one; a mapping counts as its only item."""
        for key in self.key.split("."):
            data = data.get(key) if isinstance(data, dict) else None
        if data is None:
            return []
        return data if isinstance(data, list) else [data]

    def _insert(self, text: str) -> str:
        parent, entry = self._find(text)
        value = entry[1] if entry else None
        lines = text.splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        if value is None or _is_empty(value):
            return self._insert_list(lines, parent, entry)
        if value.id == "mapping" and not value.flow_style:
            return self._insert_after_mapping(lines, value)
        if value.id != "sequence" or value.flow_style:
            raise ShapeError(self.key)
        column = value.start_mark.column
        end = _last_line(value) + 1
        lines[end:end] = _block_lines(self.item, column)
        return "".join(lines)

    def _insert_list(self, lines: list[str], parent: Any, entry: Any) -> str:
        """Make the list, under a key that is there without content or not at all."""
        column = parent.start_mark.column
        item = _block_lines(self.item, column + _INDENT)
        if entry is None:
            name = self.key.rpartition(".")[2]
            line = _last_line(parent)
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
        first, last = value.start_mark.line, _last_line(value)
        column = value.start_mark.column
        for number in range(first, last + 1):
            if lines[number].strip():
                mark = "- " if number == first else "  "
                lines[number] = " " * column + mark + lines[number][column:]
        lines[last + 1 : last + 1] = _block_lines(self.item, column)
        return "".join(lines)

    def _delete(self, text: str, index: int) -> str:
        _, entry = self._find(text)
        value = entry[1] if entry else None
        if value is None or value.id != "sequence" or value.flow_style:
            raise ShapeError(self.key)
        lines = text.splitlines(keepends=True)
        nodes = value.value
        first, last = nodes[index].start_mark.line, _last_line(nodes[index])
        del lines[first : last + 1]
        if len(nodes) == 1:
            above = next(n for n in range(first - 1, -1, -1) if ":" in lines[n])
            lines[above] = lines[above].replace(":", ": []", 1)
        return "".join(lines)

    def _find(self, text: str) -> tuple[Any, Any]:
        """Return the mapping that holds the list, and its entry for it (or None)."""
        node = _parser().compose(text)
        *path, name = self.key.split(".")
        for key in path:
            found = _entry(node, key)
            node = found[1] if found else None
        if node is None or node.id != "mapping" or node.flow_style or not node.value:
            raise ShapeError(self.key)
        return node, _entry(node, name)


def _parser() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _load(text: str) -> Any:
    return _parser().load(text)


def _entry(node: Any, key: str) -> Any:
    if node is None or node.id != "mapping":
        return None
    return next((entry for entry in node.value if entry[0].value == key), None)


def _is_empty(node: Any) -> bool:
    """Tell whether nothing stands there: `key:`, `key: null` or `key: []`."""
    if node.id == "sequence":
        return not node.value
    return node.id == "scalar" and str(node.tag).endswith(":null")


def _last_line(node: Any) -> int:
    """Return the number of the last line that `node` itself has content on.

    The end of a block collection is where the next token starts, below comments.
    """
    while node.id != "scalar" and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    mark = node.end_mark
    ends_before = mark.column == 0 and mark.line > node.start_mark.line
    return int(mark.line) - (1 if ends_before else 0)


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
