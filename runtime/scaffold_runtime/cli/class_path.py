"""Which classes a config may name, and what names from Lightning mean here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import jsonargparse

FOREIGN = re.compile(r"(lightning|pytorch_lightning)(\.[A-Za-z_]\w*)+")
ALWAYS_ALLOWED = ("scaffold_runtime", "torch", "torchmetrics")
DOORS = (
    "scaffold_runtime.callbacks",
    "scaffold_runtime.loggers",
    "scaffold_runtime.strategies",
    "scaffold_runtime.cli",
    "scaffold_runtime",
)


def translate(value: Any) -> Any:
    """A copy of a config's value in which Lightning's classes are ours, by their names.

    A name that has no counterpart stays, and is refused when it is to be imported.
    """
    if isinstance(value, dict):
        return {key: translate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [translate(item) for item in value]
    if isinstance(value, str) and FOREIGN.fullmatch(value):
        return counterpart(value) or value
    return value


def translate_word(word: str) -> str:
    """A word of the command line in which a class of Lightning is ours."""
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{translate(value)}"


def counterpart(path: str) -> str | None:
    """The class of ours that has the name of Lightning's, None without one."""
    name = path.rpartition(".")[2]
    for door in DOORS:
        if name in import_module(door).__all__:
            return f"{door}.{name}"
    return None


def import_all_names() -> None:
    """Import every callback, logger and strategy, so that its short name is known."""
    for door in DOORS[:3]:
        module = import_module(door)
        for name in module.__all__:
            getattr(module, name)


def allowed_packages(classes: Iterable[Any], allow: Iterable[str]) -> list[str]:
    """The packages whose classes a config may name.

    They are those of the given classes, of every class that their modules or the script
    have imported by name, our own, torch, torchmetrics, and `allow`.
    """
    modules = {getattr(cls, "__module__", "") for cls in classes} | {"__main__"}
    found = {_package(name) for name in modules}
    for name in modules & sys.modules.keys():
        if _package(name) not in ALWAYS_ALLOWED:
            found |= {_package(cls) for cls in _imported_classes(name)}
    found -= {"jsonargparse", *sys.stdlib_module_names} - {"__main__"}
    return sorted({*found, *ALWAYS_ALLOWED, *allow} - {""})


def _imported_classes(module: str) -> Iterator[str]:
    """Names of the modules that the classes in a module's namespace come from."""
    for value in list(vars(sys.modules[module]).values()):
        if isinstance(value, type):
            yield value.__module__


def _package(module: str) -> str:
    return module.partition(".")[0]


def allow_only(packages: list[str]) -> None:
    """Let a config name classes of these packages only; checked before any import."""
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=packages,
        instantiate_subclass_spec_in_any=False,
    )
