"""Where things stand in the text of a YAML file."""

from __future__ import annotations

from typing import Any


def load(text: str) -> Any:
    """Return what the file means.

    Raises:
        ruamel.yaml.error.YAMLError: it is broken.
    """
    return _parser().load(text)


def value_at(data: Any, key: str) -> Any:
    """Return the value at a dotted key; None where there is none."""
    for name in key.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def find(text: str, key: str) -> tuple[Any, Any]:
    """Return the block mapping that holds a dotted key, and its entry (or None).

    Returns:
        The mapping's node, None where it is not there; and the nodes of name and value.
    """
    node = _parser().compose(text)
    *path, name = key.split(".")
    for part in path:
        found = _entry(node, part)
        node = found[1] if found else None
    if node is None or node.id != "mapping" or node.flow_style or not node.value:
        return None, None
    return node, _entry(node, name)


def is_empty(node: Any) -> bool:
    """Tell whether nothing stands there: `key:`, `key: null` or `key: []`."""
    if node.id == "sequence":
        return not node.value
    return node.id == "scalar" and str(node.tag).endswith(":null")


def last_line(node: Any) -> int:
    """Return the number of the last line that `node` itself has content on.

    The end of a block collection is where the next token starts, below comments.
    """
    while node.id != "scalar" and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    mark = node.end_mark
    ends_before = mark.column == 0 and mark.line > node.start_mark.line
    return int(mark.line) - (1 if ends_before else 0)


def lines_of(text: str) -> list[str]:
    """Return the lines of `text`, each with its line break."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def _parser() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _entry(node: Any, key: str) -> Any:
    if node is None or node.id != "mapping":
        return None
    return next((entry for entry in node.value if entry[0].value == key), None)
