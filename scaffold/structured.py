"""Files that mean data, YAML and TOML: read, and rewritten with their comments kept."""

from __future__ import annotations

import io
import json
from difflib import SequenceMatcher
from typing import Any

from scaffold import toml_reader

SUFFIXES = (".yaml", ".yml", ".toml")


class BrokenError(ValueError):
    """The text is no valid YAML or TOML."""


def load(path: str, text: str) -> Any:
    """Return what the file means; a key that stands twice is an error.

    Raises:
        BrokenError: it means nothing.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.endswith(".toml"):
            return toml_reader.loads(text)
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, toml_reader.TOMLDecodeError) as error:
        raise BrokenError(f"{path}: {' '.join(str(error).split())}") from None


def rewritten(path: str, text: str, data: Any) -> str:
    """Return `text` changed so that it means `data`; the rest of it stays."""
    if path.endswith(".toml"):
        import tomlkit

        return tomlkit.dumps(_impose(tomlkit.parse(text), data))
    from ruamel.yaml import YAML
    from ruamel.yaml.util import load_yaml_guess_indent

    _, indent, offset = load_yaml_guess_indent(text)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=indent or 2, offset=offset or 0)
    stream = io.StringIO()
    yaml.dump(_impose(yaml.load(text), data), stream)
    return stream.getvalue()


def spelled(value: Any) -> str:
    """Return `value` as text that is equal for what is written alike, only.

    1, 1.0 and true are equal in Python.
    """
    return json.dumps(value, sort_keys=True, default=repr)


def _impose(node: Any, data: Any) -> Any:
    """Change the document `node` to mean `data`; what agrees is not touched."""
    if spelled(node) == spelled(data):
        return node
    if isinstance(node, dict) and isinstance(data, dict):
        for key in [key for key in node if key not in data]:
            del node[key]
        for key, value in data.items():
            node[key] = _impose(node[key], value) if key in node else value
        return node
    if isinstance(node, list) and isinstance(data, list):
        _impose_items(node, data)
        return node
    return data


def _impose_items(node: list[Any], data: list[Any]) -> None:
    left, right = list(map(spelled, node)), list(map(spelled, data))
    codes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    for tag, start, end, new_start, new_end in reversed(codes):
        if tag == "replace" and end - start == new_end - new_start:
            for shift in range(end - start):
                changed = _impose(node[start + shift], data[new_start + shift])
                node[start + shift] = changed
        elif tag != "equal":
            del node[start:end]
            for item in reversed(data[new_start:new_end]):
                node.insert(start, item)
