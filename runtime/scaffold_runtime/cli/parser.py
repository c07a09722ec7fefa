"""`ArgumentParser`: one parser for the command line, config files and the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import jsonargparse
import torch
from jsonargparse import Namespace
from jsonargparse.typing import class_from_function
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from scaffold_runtime.callback import Callback
from scaffold_runtime.cli import config_text
from scaffold_runtime.cli.class_path import refuse_to_call, translate, translate_word
from scaffold_runtime.cli.refusal import explain
from scaffold_runtime.data import DataModule
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.module import Module
from scaffold_runtime.trainer import Trainer

jsonargparse.register_unresolvable_import_paths(torch)


class ReduceLROnPlateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """Torch's `ReduceLROnPlateau`, which also names the metric that it watches.

    Args:
        optimizer: the optimizer whose learning rate is reduced.
        monitor: name of the logged metric.
        *args: the other arguments of torch's class.
        **kwargs: the other arguments of torch's class, by name.
    """

    def __init__(
        self, optimizer: Optimizer, monitor: str, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(optimizer, *args, **kwargs)
        self.monitor = monitor


SCHEDULERS = (LRScheduler, ReduceLROnPlateau)
AUTOMATIC = "AUTOMATIC"

# A class, or several classes any subclass of which may be chosen.
Choice = type | tuple[type, ...]


def as_class(factory: Callable[..., Any]) -> type:
    """The class, or one that a function's annotation stands for."""
    return factory if isinstance(factory, type) else class_from_function(factory)


class ArgumentParser(jsonargparse.ArgumentParser):
    """jsonargparse's parser, with words for trainers, modules, data and optimizers.

    Args:
        *args: arguments of jsonargparse's parser.
        description: shown by `--help`.
        env_prefix: first word of the environment variables, as in PL_TRAINER__MAX_EPOCHS.
        default_env: read environment variables.
        **kwargs: arguments of jsonargparse's parser, by name.

    Attributes:
        callback_keys: keys of the callbacks that were added as arguments of their own.
        subclass_keys: keys whose class the user chooses.
        optimizers: for each optimizer's key what may stand there and what it is linked to.
        lr_schedulers: the same for learning rate schedulers.
    """

    def __init__(
        self,
        *args: Any,
        description: str = "Trains, validates, tests and predicts.",
        env_prefix: str = "PL",
        default_env: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args,
            description=description,
            env_prefix=env_prefix,
            default_env=default_env,
            **{"parser_mode": config_text.MODE, "allow_abbrev": False, **kwargs},
        )
        self._config_being_read = ""
        self.callback_keys: list[str] = []
        self.subclass_keys: list[str] = []
        self.optimizers: dict[str, tuple[Choice, str]] = {}
        self.lr_schedulers: dict[str, tuple[Choice, str]] = {}

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any
    ) -> Namespace:
        """Parse the words of a command line, by default this process'."""
        words = sys.argv[1:] if args is None else args
        words = [translate_word(word) for word in words]
        try:
            return super().parse_args(words, *rest, **kwargs)
        except jsonargparse.ArgumentError:
            raise
        except Exception as error:
            # Keys of jsonargparse's own, such as `config` in a config, break it inside.
            self.error(f"Problems parsing config: {error!r}", error)

    def parse_path(
        self, path: str | os.PathLike[str], *rest: Any, **kwargs: Any
    ) -> Namespace:
        """Parse a config file; what is wrong in it is said with its name."""
        self._config_being_read = f"{os.fspath(path)}: "
        try:
            config: Namespace = super().parse_path(path, *rest, **kwargs)
            return config
        except (OSError, UnicodeError) as error:
            self.error(f"Problems parsing config: {error}", error)
        finally:
            self._config_being_read = ""

    def set_defaults(self, *args: dict[str, Any], **kwargs: Any) -> None:
        """Set defaults of arguments; classes of Lightning are ours."""
        super().set_defaults(*map(translate, args), **translate(kwargs))

    def get_defaults(self, *args: Any, **kwargs: Any) -> Namespace:
        """The default of every argument, default config files included."""
        try:
            return super().get_defaults(*args, **kwargs)
        except (TypeError, KeyError, OSError, UnicodeError) as error:
            files = ", ".join(map(str, self.default_config_files))
            # What jsonargparse itself says of other mistakes in such a file.
            message = f"Problem in default config file '{files}': {error}"
            raise jsonargparse.ArgumentError(None, message) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with one sentence and code 2, or raise where the parser was told to."""
        if not self.exit_on_error:
            super().error(message, ex)
        sentence = explain(message, getattr(ex, "subcommand_parser", None) or self)
        self.exit(2, f"{self._config_being_read}{sentence}\n")

    def add_lightning_class_args(
        self,
        lightning_class: Callable[..., Any],
        nested_key: str,
        subclass_mode: bool = False,
        required: bool = True,
    ) -> list[str]:
        """Add the arguments of a trainer, module, data module or callback.

        Args:
            lightning_class: the class, or a function that is annotated to return one.
            nested_key: key below which the arguments stand.
            subclass_mode: let the user choose any subclass by `class_path`.
            required: the user must choose one.

        Returns:
            The names of the arguments.

        Raises:
            MisconfigurationError: it is none of these classes.
        """
        cls = as_class(lightning_class)
        if not issubclass(cls, (Trainer, Module, DataModule, Callback)):
            raise MisconfigurationError(
                f"The parser cannot add the arguments of {lightning_class!r}: give a"
                " Trainer, Module, DataModule or Callback."
            )
        if issubclass(cls, Callback):
            self.callback_keys.append(nested_key)
        add: Callable[..., list[str]] = self.add_class_arguments
        settings = {"instantiate": not issubclass(cls, Trainer), "sub_configs": True}
        if subclass_mode:
            self.subclass_keys.append(nested_key)
            add, settings = self.add_subclass_arguments, {"required": required}
        added = add(cls, nested_key, fail_untyped=False, **settings)
        self._entitle(nested_key, cls)
        return added

    def link_arguments(
        self, source: Any, target: str, *args: Any, **kwargs: Any
    ) -> None:
        """Link arguments; `model.classes` is meant whether or not the class is chosen."""
        key, _, argument = target.partition(".")
        if key in self.subclass_keys and not argument.startswith("init_args."):
            target = f"{key}.init_args.{argument}"
        super().link_arguments(source, target, *args, **kwargs)

    def add_function_arguments(
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> list[str]:
        """Add a function's arguments; a class path of a config may lead here."""
        if not self.exit_on_error:
            refuse_to_call(function)
        return super().add_function_arguments(function, *args, **kwargs)

    def _entitle(self, key: str, cls: type) -> None:
        """Head the arguments in the help by words, where there is only a class's repr."""
        assert self.groups is not None
        group = self.groups[key]
        if "<class" in (group.title or ""):
            group.title = (cls.__doc__ or cls.__name__).partition("\n")[0].rstrip(".")

    def add_optimizer_args(
        self,
        optimizer_class: Choice = (Optimizer,),
        nested_key: str = "optimizer",
        link_to: str = AUTOMATIC,
    ) -> None:
        """Add an optimizer.

        Args:
            optimizer_class: a class, or a tuple of classes to choose a subclass of.
            nested_key: key below which its arguments stand.
            link_to: key of the model's argument that takes it; by default it becomes what
                `configure_optimizers` returns.
        """
        self._add_choice(optimizer_class, nested_key, skip={"params"})
        self.optimizers[nested_key] = (optimizer_class, link_to)

    def add_lr_scheduler_args(
        self,
        lr_scheduler_class: Choice = SCHEDULERS,
        nested_key: str = "lr_scheduler",
        link_to: str = AUTOMATIC,
    ) -> None:
        """Add a learning rate scheduler; arguments as for `add_optimizer_args`."""
        self._add_choice(lr_scheduler_class, nested_key, skip={"optimizer"})
        self.lr_schedulers[nested_key] = (lr_scheduler_class, link_to)

    def _add_choice(self, choice: Choice, key: str, skip: set[str]) -> None:
        settings: dict[str, Any] = {"instantiate": False, "fail_untyped": False}
        if isinstance(choice, tuple):
            self.add_subclass_arguments(choice, key, skip=skip, **settings)
        else:
            settings["sub_configs"] = True
            path = f"{choice.__module__}.{choice.__name__}"
            jsonargparse.set_parsing_settings(import_path_allowlist=[path])
            self.add_class_arguments(choice, key, skip=skip, **settings)
        self._entitle(key, choice[0] if isinstance(choice, tuple) else choice)


OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
LRSchedulerCallable = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
