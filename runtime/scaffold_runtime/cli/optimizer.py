"""Optimizers and schedulers that are chosen in a config rather than in the module."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any

from jsonargparse import Namespace

# It checks a path against what is allowed, before it imports and after.
from jsonargparse._util import import_object

from scaffold_runtime.cli.parser import AUTOMATIC, ArgumentParser, Choice
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loops.hooks import is_overridden
from scaffold_runtime.module import Module


def link_choices(parser: ArgumentParser) -> None:
    """Give optimizers and schedulers to the arguments that they are linked to."""
    for key, (choice, link_to) in {**parser.optimizers, **parser.lr_schedulers}.items():
        if link_to != AUTOMATIC:
            as_spec = functools.partial(_class_path_and_arguments, choice)
            parser.link_arguments(key, link_to, compute_fn=as_spec)


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
        optimizer = instantiate_class(module.parameters(), optimizer_spec)
        scheduler = scheduler_spec and instantiate_class(optimizer, scheduler_spec)
        return configure(module, optimizer, scheduler)

    own = MethodType(configure_optimizers, module)
    module.configure_optimizers = own  # type: ignore[method-assign]


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
    specs = (_class_path_and_arguments(registered[k][0], chosen.get(k)) for k in keys)
    return next(specs, None)


def _class_path_and_arguments(choice: Choice, value: Any) -> Any:
    """What stands in a config; of a class that is not the user's to choose, only arguments."""
    value = value.as_dict() if isinstance(value, Namespace) else value
    if isinstance(choice, tuple):
        return value
    path = f"{choice.__module__}.{choice.__name__}"
    return {"class_path": path, "init_args": value or {}}


def instantiate_class(args: Any, init: dict[str, Any]) -> Any:
    """Make an object of a class path, its `init_args`, and what a config cannot hold.

    Args:
        args: positional arguments, one or a tuple of them.
        init: `class_path`, of a class that a config may name, and `init_args`.
    """
    args = args if isinstance(args, tuple) else (args,)
    return import_object(init["class_path"])(*args, **(init.get("init_args") or {}))
