"""Optimizers and schedulers that are chosen in a config rather than in the module."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

from jsonargparse import Namespace

from scaffold_runtime.cli.parser import AUTOMATIC, ArgumentParser, Choice
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loops.hooks import is_overridden
from scaffold_runtime.module import Module


def link_choices(parser: ArgumentParser) -> None:
    """Give optimizers and schedulers to the arguments that they are linked to."""
    choices = {**parser.optimizers, **parser.lr_schedulers}
    for key, (choice, link_to) in choices.items():
        if link_to == AUTOMATIC:
            continue
        if isinstance(choice, tuple):
            parser.link_arguments(key, link_to)
        else:
            with_path = functools.partial(_with_class_path, choice)
            parser.link_arguments(key, link_to, compute_fn=with_path)


def bring_optimizer(
    module: Module,
    parser: ArgumentParser,
    chosen: Namespace,
    configure: Callable[..., Any],
) -> None:
    """Let a module use the optimizer and scheduler of a config.

    Args:
        module: the module; its `configure_optimizers` is replaced.
        parser: knows which keys hold optimizers and schedulers.
        chosen: the config.
        configure: makes of module, optimizer and scheduler what `configure_optimizers`
            returns.

    Raises:
        MisconfigurationError: there are several optimizers or schedulers to use.
    """
    optimizer_spec = _automatic_choice(parser.optimizers, chosen)
    scheduler_spec = _automatic_choice(parser.lr_schedulers, chosen)
    if not optimizer_spec:
        return
    if is_overridden(module, "configure_optimizers", Module):
        rank_zero_warn(
            f"{type(module).__name__}.configure_optimizers is not used: the"
            f" {optimizer_spec['class_path']} of the config takes its place."
        )

    def configure_optimizers(module: Module) -> Any:
        optimizer = _make(optimizer_spec, module.parameters())
        scheduler = _make(scheduler_spec, optimizer) if scheduler_spec else None
        return configure(module, optimizer, scheduler)

    module.configure_optimizers = MethodType(  # type: ignore[method-assign]
        configure_optimizers, module
    )


def _automatic_choice(
    registered: dict[str, tuple[Choice, str]], chosen: Namespace
) -> dict[str, Any] | None:
    """The class path and arguments of the one that is not linked, if there is one."""
    keys = [key for key, (_, link_to) in registered.items() if link_to == AUTOMATIC]
    if len(keys) > 1:
        raise MisconfigurationError(
            f"{' and '.join(keys)} would all be used automatically, and a module has one:"
            " give the others link_to=, and define configure_optimizers."
        )
    if not keys:
        return None
    choice, spec = registered[keys[0]][0], chosen.get(keys[0])
    return (
        spec if isinstance(choice, tuple) else _with_class_path(choice, spec)
    ) or None


def _make(spec: dict[str, Any], *args: Any) -> Any:
    """Make an object of a class path, its arguments, and those it cannot do without."""
    module, _, name = spec["class_path"].rpartition(".")
    cls = getattr(sys.modules[module], name)
    return cls(*args, **(spec.get("init_args") or {}))


def _with_class_path(cls: type, arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, Namespace):
        arguments = arguments.as_dict()
    path = f"{cls.__module__}.{cls.__name__}"
    return {"class_path": path, "init_args": arguments or {}}
