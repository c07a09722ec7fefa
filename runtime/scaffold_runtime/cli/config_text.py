"""The text of a config: YAML in which nothing is taken in silence."""

from __future__ import annotations

from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from scaffold_runtime.cli.class_path import translate

MODE = "strict_yaml"
# Aliases can make a few lines stand for more values than there is memory.
MAX_VALUES = 100_000


def load(text: str) -> Any:
    """The value that a config or an argument stands for.

    Numbers like 1e-3 are floats, classes of Lightning are ours.

    Raises:
        yaml.YAMLError: it is no YAML, has a key twice, or aliases that grow without end.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _count_values(node, {})
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    if node is None and text.strip():
        return {}  # nothing but comments
    return translate(get_loader("yaml")(text))


def _count_values(node: yaml.Node | None, counted: dict[int, int]) -> int:
    """Number of values below a node, aliases written out; refuses a key that is there twice."""
    if id(node) in counted:
        if not counted[id(node)]:
            raise yaml.YAMLError("an alias contains itself")
        return counted[id(node)]
    counted[id(node)] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _refuse_equal_keys(node)
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    total = 1 + sum(_count_values(child, counted) for child in children)
    if total > MAX_VALUES:
        raise yaml.YAMLError(f"it stands for more than {MAX_VALUES} values")
    counted[id(node)] = total
    return total


def _refuse_equal_keys(node: yaml.MappingNode) -> None:
    keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    seen: dict[str, int] = {}
    for key in keys:
        line = key.start_mark.line + 1
        if key.value in seen and key.value != "<<":
            raise yaml.YAMLError(
                f"the key {key.value} stands in line {seen[key.value]} and again in line"
                f" {line}: keep one of them"
            )
        seen[key.value] = line


set_loader(MODE, load, (yaml.YAMLError,))
