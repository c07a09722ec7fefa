"""Which classes a config may name, and what names from Lightning mean here."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import jsonargparse
import torch

FOREIGN = re.compile(r"(lightning|pytorch_lightning)(\.[A-Za-z_]\w*)+")
ALWAYS_ALLOWED = ("scaffold_runtime", "torch", "torchmetrics")
# Parts of torch that load and run code or start processes, and what is harmless in them.
CLOSED = (
    "classes distributed export fx hub jit load multiprocessing onnx ops package save"
    " serialization testing utils"
).split()
OPEN = "distributed.algorithms distributed.fsdp distributed.optim utils.data".split()
DOORS = (
    "scaffold_runtime.callbacks",
    "scaffold_runtime.loggers",
    "scaffold_runtime.strategies",
    "scaffold_runtime.cli",
    "scaffold_runtime.profilers",
    "scaffold_runtime.demos",
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
    """The class of ours that has the name of Lightning's, None without one.

    Raises:
        NotProvidedError: there is something else to use in its place.
    """
    name = path.rpartition(".")[2]
    doors = [door for door in DOORS if hasattr(import_module(door), name)]
    found = (door for door in doors if name in import_module(door).__all__)
    return next((f"{door}.{name}" for door in found), None)


def import_all_names() -> None:
    """Import every callback, logger and strategy, so that its short name is known."""
    for door in map(import_module, DOORS[:3]):
        for name in door.__all__:
            getattr(door, name)


def allow_only(classes: Iterable[Any], allow: Iterable[str]) -> None:
    """Let a config name classes of some packages only; a path is checked before any import.

    They are the packages of the script and of the given classes, our own, torch without
    what runs code, torchmetrics, and `allow`.
    """
    script = getattr(sys.modules["__main__"], "__package__", None)  # of `python -m`
    given = (getattr(cls, "__module__", None) for cls in classes)
    modules = [module or "" for module in ("__main__", script, *given)]
    found = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names
    # torch._C holds what torch.nn.functional and others only show.
    names = {module.name for module in iter_modules(torch.__path__)} - {"_C"}
    private = {name for name in names if name[0] == "_"}
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*", *(f"torch.{name}" for name in {*CLOSED, *private})],
        import_path_allowlist=[
            *(found - {"", "jsonargparse"}),
            *ALWAYS_ALLOWED,
            *(f"torch.{name}" for name in OPEN),
            *allow,
        ],
        instantiate_subclass_spec_in_any=False,
    )


def refuse_to_call(function: Callable[..., Any]) -> None:
    """Refuse a function that a config gives arguments to, unless it is the project's own.

    Raises:
        ImportError: it is of a package whose functions a config may hand over, not call.
    """
    module = getattr(function, "__module__", None) or "torch"  # C functions have none
    if module.partition(".")[0] in ALWAYS_ALLOWED:
        raise ImportError(f"Calling '{module}.{function.__qualname__}' is not allowed")
