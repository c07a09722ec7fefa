"""Hyperparameters as loggers need them: a dict, flat, of plain values, as YAML."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from scaffold_runtime.run_folder import write_whole

PLAIN = (bool, int, float, str)


def as_dict(params: Any) -> dict[str, Any]:
    """Return hyperparameters given as a mapping, namespace, data class or None."""
    if is_dataclass(params) and not isinstance(params, type):
        return asdict(params)
    return vars(params) if isinstance(params, Namespace) else dict(params or {})


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
    record = is_dataclass(value) and not isinstance(value, type)
    return record or isinstance(value, (Mapping, Namespace))


def sanitize(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers and strings as they are, one-element arrays as numbers, else text."""
    numbers = {  # ndim: a number of torch or numpy
        name: value.item() if getattr(value, "ndim", None) == 0 else value
        for name, value in params.items()
    }
    return {n: v if isinstance(v, PLAIN) else str(v) for n, v in numbers.items()}


def write_yaml(path: str, params: Mapping[str, Any]) -> None:
    """Write hyperparameters as YAML that any safe loader reads."""
    import yaml

    write_whole(Path(path), yaml.safe_dump(plain(params), sort_keys=True))


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
    array = hasattr(value, "tolist") and not isinstance(value, type)
    return value.tolist() if array else str(value)
