"""Hyperparameters as loggers need them: a dict, flat, of plain values, as YAML."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any

from torch import Tensor

PLAIN = (bool, int, float, str)


def as_dict(params: Any) -> dict[str, Any]:
    """Return hyperparameters given as a mapping, namespace, data class or None."""
    if params is None:
        return {}
    if isinstance(params, Namespace):
        return vars(params)
    if is_dataclass(params) and not isinstance(params, type):
        return asdict(params)
    return dict(params)


def flatten(params: Mapping[Any, Any], delimiter: str = "/") -> dict[str, Any]:
    """Return nested mappings as one level: `{"a": {"b": 1}}` becomes `{"a/b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, list) and value and all(map(_is_nest, value)):
            value = {str(i): item for i, item in enumerate(value)}
        if _is_nest(value):
            inner = flatten(as_dict(value), delimiter)
            flat.update({f"{key}{delimiter}{name}": v for name, v in inner.items()})
        else:
            flat[str(key)] = value
    return flat


def _is_nest(value: Any) -> bool:
    """Whether a value holds further names."""
    if isinstance(value, (Mapping, Namespace)):
        return True
    return is_dataclass(value) and not isinstance(value, type)


def sanitize(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers and strings as they are, one-element arrays as numbers, else text."""
    return {name: _sanitize(value) for name, value in params.items()}


def _sanitize(value: Any) -> Any:
    if isinstance(value, PLAIN):
        return value
    if getattr(value, "ndim", None) == 0:  # a number of torch or numpy
        return value.item()
    return str(value)


def write_yaml(path: str, params: Mapping[str, Any]) -> None:
    """Write hyperparameters as YAML that any safe loader reads."""
    import yaml

    text = yaml.safe_dump(plain(params), sort_keys=True)
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def plain(value: Any) -> Any:
    """The value as nested dicts, lists, numbers, strings and None."""
    if value is None or type(value) in PLAIN:
        return value
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if _is_nest(value):
        return {str(key): plain(item) for key, item in as_dict(value).items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, Tensor) or hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
