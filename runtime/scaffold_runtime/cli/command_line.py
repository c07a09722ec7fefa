"""`CLI`: from the words of a command line to a run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from torch.optim import Optimizer

from scaffold_runtime.callback import Callback
from scaffold_runtime.callbacks.run_record import RunRecord
from scaffold_runtime.checkpoint import read_checkpoint
from scaffold_runtime.cli.class_path import allow_only, import_all_names, translate
from scaffold_runtime.cli.instance import make_instances
from scaffold_runtime.cli.optimizer import bring_optimizer, link_choices
from scaffold_runtime.cli.parser import (
    SCHEDULERS,
    ArgumentParser,
    ReduceLROnPlateau,
    as_class,
)
from scaffold_runtime.cli.saved_config import SaveConfigCallback
from scaffold_runtime.cli.uncaught import install_excepthook
from scaffold_runtime.data import DataModule
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.hyperparameters import VALUES_KEY
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.module import Module
from scaffold_runtime.seed import seed_everything
from scaffold_runtime.trainer import Trainer

DEFAULT_CONFIG = "configs/default.yaml"
# Words of a command line, or a config, in place of this process' own words.
ArgsType = list[str] | dict[str, Any] | Namespace | None
LOADERS = {"dataloaders", "train_dataloaders", "val_dataloaders"}
# A parser's arguments by which it reads more than its words: it may be of any command.
SOURCES = {"default_config_files", "default_env"}


class CLI:
    """A command line for a module and its data: `fit`, `validate`, `test`, `predict`.

        if __name__ == "__main__":
            CLI(Model, Data)

    Every argument of the module, the data module and the trainer can be given as
    `--model.width 64`, in a file as `--config FILE`, or as an environment variable.

    Args:
        model_class: the module, or a function annotated to return one; None lets the user
            choose any by `--model`.
        datamodule_class: the same for the data module, by `--data`.
        save_config_callback: writes the config into the run's folder; None writes none.
        save_config_kwargs: its arguments.
        trainer_class: the trainer, or a function annotated to return one.
        trainer_defaults: defaults of the trainer's arguments; its callbacks come on top of
            the user's.
        seed_everything_default: a seed; True takes the environment's or 0, False seeds
            nothing.
        parser_kwargs: arguments of the parsers, or a dict of them for each command.
        parser_class: the parser.
        subclass_mode_model: let the user choose any subclass of `model_class`.
        subclass_mode_data: let the user choose any subclass of `datamodule_class`.
        args: words to parse in place of the command line's, or a config.
        run: run the command; False has no commands and only makes the objects.
        auto_configure_optimizers: offer `--optimizer` and `--lr_scheduler`.
        load_from_checkpoint_support: accepted for compatibility; hyperparameters are what
            `save_hyperparameters` says, with the command line and without.
        allow: packages whose classes a config may name, besides those of the script and
            the given classes, scaffold_runtime, torch and torchmetrics.
        default_config: a config file that is read before all others; by default
            `configs/default.yaml` beside the script, or in the current folder.

    Attributes:
        parser: the parser.
        config: what it read.
        config_init: the same with objects in place of class paths.
        subcommand: the command, None with `run=False`.
        model: the module.
        datamodule: the data module, None without one.
        trainer: the trainer.
    """

    def __init__(
        self,
        model_class: Callable[..., Module] | None = None,
        datamodule_class: Callable[..., DataModule] | None = None,
        save_config_callback: type[SaveConfigCallback] | None = SaveConfigCallback,
        save_config_kwargs: dict[str, Any] | None = None,
        trainer_class: Callable[..., Trainer] = Trainer,
        trainer_defaults: dict[str, Any] | None = None,
        seed_everything_default: bool | int = True,
        parser_kwargs: dict[str, Any] | None = None,
        parser_class: type[ArgumentParser] = ArgumentParser,
        subclass_mode_model: bool = False,
        subclass_mode_data: bool = False,
        args: ArgsType = None,
        run: bool = True,
        auto_configure_optimizers: bool = True,
        load_from_checkpoint_support: bool = True,
        allow: list[str] | None = None,
        default_config: str | Path | None = None,
    ) -> None:
        self.model_class, self.datamodule_class = model_class, datamodule_class
        self.save_config_callback = save_config_callback
        self.save_config_kwargs = save_config_kwargs or {}
        self.trainer_class = trainer_class
        self.trainer_defaults = trainer_defaults or {}
        self.seed_everything_default = seed_everything_default
        self.parser_class = parser_class
        self.subclass_mode_model = model_class is None or subclass_mode_model
        self.subclass_mode_data = datamodule_class is None or subclass_mode_data
        self.parser_kwargs = parser_kwargs or {}
        self.auto_configure_optimizers = auto_configure_optimizers
        self.default_config = find_default_config(default_config)
        install_excepthook()
        import_all_names()
        classes = (model_class, datamodule_class, trainer_class, type(self))
        allow_only(classes, allow or ())
        self.setup_parser(run, self.parser_kwargs, args)
        self.parse_arguments(self.parser, args)
        self.subcommand: str | None = self.config["subcommand"] if run else None
        self._take_hyperparameters()
        self._seed()
        self.before_instantiate_classes()
        self.instantiate_classes()
        self.after_instantiate_classes()
        if self.subcommand is not None:
            self._run_subcommand(self.subcommand)

    # --- the parser -------------------------------------------------------------------

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The commands, and which of their arguments are not the user's to give."""
        skipped = {"model", "datamodule", *LOADERS}
        return dict.fromkeys(("fit", "validate", "test", "predict"), skipped)

    def init_parser(self, **kwargs: Any) -> ArgumentParser:
        """Make a parser that knows `--config`."""
        if self.default_config is not None:
            kwargs.setdefault("default_config_files", [self.default_config])
        parser = self.parser_class(**kwargs)
        about = "A config file in YAML or JSON; may be given several times."
        parser.add_argument("-c", "--config", action="config", help=about)
        return parser

    def setup_parser(
        self, add_subcommands: bool, kwargs: dict[str, Any], args: ArgsType = None
    ) -> None:
        """Make the parser, with commands or without.

        Where the words begin with a command, the others get no arguments: to add them takes
        most of the time until a run starts.
        """
        commands = self.subcommands()
        main = {k: v for k, v in kwargs.items() if k not in commands}
        self._subcommand_parsers: dict[str, ArgumentParser] = {}
        if not add_subcommands:
            self.parser = self.init_parser(**main)
            self._add_arguments(self.parser)
            return
        self.parser = self.init_parser(**{"default_config_files": None, **main})
        subparsers = self.parser.add_subcommands()
        trainer_class = as_class(self.trainer_class)
        words = sys.argv[1:] if args is None else args
        first = words[0] if isinstance(words, list) and words else None
        meant = {first} & commands.keys() if main.keys().isdisjoint(SOURCES) else set()
        for command, skipped in commands.items():
            method = getattr(trainer_class, command)
            description = (inspect.getdoc(method) or "").partition("\n")[0]
            usage = "%(prog)s [--config FILE] [--KEY VALUE ...]"
            settings: dict[str, Any] = {"description": description, "usage": usage}
            if meant and command not in meant:
                parser = self.parser_class(**settings)
            else:
                parser = self.init_parser(**{**settings, **kwargs.get(command, {})})
                self._add_arguments(parser)
                parser.add_method_arguments(trainer_class, command, skip=skipped)
                self._subcommand_parsers[command] = parser
            subparsers.add_subcommand(command, parser, help=description)

    def _add_arguments(self, parser: ArgumentParser) -> None:
        self.add_default_arguments_to_parser(parser)
        self.add_core_arguments_to_parser(parser)
        self.add_arguments_to_parser(parser)
        if self.auto_configure_optimizers:
            if not parser.optimizers:
                parser.add_optimizer_args((Optimizer,))
            if not parser.lr_schedulers:
                parser.add_lr_scheduler_args(SCHEDULERS)
        self.link_optimizers_and_lr_schedulers(parser)

    def add_default_arguments_to_parser(self, parser: ArgumentParser) -> None:
        """Add what is no argument of a class."""
        parser.add_argument(
            "--seed_everything",
            type=bool | int,
            default=self.seed_everything_default,
            help="A seed; true takes the environment's or 0, false seeds nothing.",
        )

    def add_core_arguments_to_parser(self, parser: ArgumentParser) -> None:
        """Add the arguments of trainer, module and data module."""
        add, data_class = parser.add_lightning_class_args, self.datamodule_class
        add(self.trainer_class, "trainer")
        defaults = {k: v for k, v in self.trainer_defaults.items() if k != "callbacks"}
        parser.set_defaults({f"trainer.{k}": v for k, v in defaults.items()})
        add(self.model_class or Module, "model", self.subclass_mode_model)
        required = data_class is not None
        add(data_class or DataModule, "data", self.subclass_mode_data, required)

    def add_arguments_to_parser(self, parser: ArgumentParser) -> None:
        """Add arguments or links of your own; override it."""

    @staticmethod
    def link_optimizers_and_lr_schedulers(parser: ArgumentParser) -> None:
        """Give optimizers and schedulers to the arguments that they are linked to."""
        link_choices(parser)

    def parse_arguments(self, parser: ArgumentParser, args: ArgsType) -> None:
        """Read the command line, or `args`, into `config`."""
        if isinstance(args, (dict, Namespace)):
            self.config = parser.parse_object(translate(args))
        else:
            self.config = parser.parse_args(args)

    def _take_hyperparameters(self) -> None:
        """Make the model as it was for the checkpoint of `ckpt_path`.

        What was given otherwise stays, and what may name a class: nothing in a checkpoint
        is imported.
        """
        own, keys = self._own(self.config), "model"
        path = own.get("ckpt_path") if self.subcommand else None
        if path is None or not Path(path).is_file():
            return
        default: Any = self._own_parser.get_defaults()
        if self.subclass_mode_model:
            default, keys = {}, "model.init_args"
        saved = read_checkpoint(path, for_training=False).get(VALUES_KEY, {})
        for key, given in (own.get(keys) or {}).items():
            value, name = saved.get(key, given), f"{keys}.{key}"
            is_open = given == default.get(name, given)
            if is_open and (is_number(value) or type(value) is type(given) is str):
                own[name] = value
        self.config = self.parser.parse_object(self.config)

    # --- the objects ------------------------------------------------------------------

    def _seed(self) -> None:
        config = self._own(self.config)
        seed = config.get("seed_everything")
        if seed is not False:
            try:
                seed = seed_everything(None if seed is True else seed, workers=True)
            except MisconfigurationError as error:
                self.parser.error(str(error))
            config["seed_everything"] = seed

    def before_instantiate_classes(self) -> None:
        """Run something before the objects are made; override it."""

    def instantiate_classes(self) -> None:
        """Make the data module, the module and the trainer."""
        self.config_init = make_instances(self.parser, self.config)
        own = self._own(self.config_init)
        self.datamodule: DataModule | None = own.get("data")
        self.model: Module = own.get("model")
        if self.auto_configure_optimizers:
            configure = self.configure_optimizers
            bring_optimizer(self.model, self._own_parser, own, configure)
        self.trainer = self.instantiate_trainer()

    def after_instantiate_classes(self) -> None:
        """Run something after the objects were made; override it."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer; `kwargs` go before the config's arguments."""
        own = self._own(self.config_init)
        config = {**own.get("trainer", {}), **kwargs}
        callbacks = [
            *_as_list(config.get("callbacks")),
            *(own[key] for key in self._own_parser.callback_keys),
            *_as_list(self.trainer_defaults.get("callbacks")),
        ]
        if not config.get("fast_dev_run", False):
            if save_config := self.save_config_callback:
                saved = (self._own_parser, self._own(self.config))
                callbacks.append(save_config(*saved, **self.save_config_kwargs))
            callbacks.append(RunRecord())
        if "callbacks" in config:
            config["callbacks"] = callbacks
        else:
            name = getattr(self.trainer_class, "__qualname__", self.trainer_class)
            rank_zero_warn(
                f"{name} has no argument callbacks: no callback is added, and the run"
                " keeps neither its config nor a record."
            )
        return self.trainer_class(**config)

    @property
    def _own_parser(self) -> ArgumentParser:
        """The parser of the command, or the only one."""
        return self._subcommand_parsers.get(str(self.subcommand), self.parser)

    def _own(self, config: Namespace) -> Namespace:
        """The command's part of a config, or all of it."""
        return config[self.subcommand] if self.subcommand else config

    # --- optimizers -------------------------------------------------------------------

    @staticmethod
    def configure_optimizers(
        lightning_module: Module, optimizer: Optimizer, lr_scheduler: Any = None
    ) -> Any:
        """What the module's `configure_optimizers` returns; override it to change it."""
        if lr_scheduler is None:
            return optimizer
        if isinstance(lr_scheduler, ReduceLROnPlateau):
            plateau = {"scheduler": lr_scheduler, "monitor": lr_scheduler.monitor}
            return {"optimizer": optimizer, "lr_scheduler": plateau}
        return [optimizer], [lr_scheduler]

    # --- the run ----------------------------------------------------------------------

    def _run_subcommand(self, command: str) -> None:
        """Call the trainer's method, and the hooks of this class around it."""
        getattr(self, f"before_{command}", lambda: None)()
        method = getattr(self, command, None) or getattr(self.trainer, command)
        method(**self._prepare_subcommand_kwargs(command))
        getattr(self, f"after_{command}", lambda: None)()

    def _prepare_subcommand_kwargs(self, command: str) -> dict[str, Any]:
        """The arguments of the trainer's method."""
        own = inspect.signature(getattr(as_class(self.trainer_class), command))
        given = self._own(self.config_init).items()
        kwargs = {key: value for key, value in given if key in own.parameters}
        if command != "fit" and not kwargs.get("ckpt_path"):
            rank_zero_warn(
                f"{command} runs with the weights that the model is made with: trained ones"
                " come by --ckpt_path best, last or FILE."
            )
        data = {} if self.datamodule is None else {"datamodule": self.datamodule}
        return {**kwargs, "model": self.model, **data}


def find_default_config(given: str | Path | None) -> Path | None:
    """The config that is read first: the given one, or `configs/default.yaml`.

    Raises:
        MisconfigurationError: the given one is not there.
    """
    if given is not None:
        if not Path(given).is_file():
            raise MisconfigurationError(
                f"CLI(default_config={str(given)!r}): there is no such file."
            )
        return Path(given)
    folders = Path(sys.argv[0]).parent, Path.cwd()
    files = (folder / DEFAULT_CONFIG for folder in folders)
    return next(filter(Path.is_file, files), None)


def is_number(value: Any) -> bool:
    """A number, or a list of numbers."""
    is_list = isinstance(value, (list, tuple))
    return all(map(is_number, value)) if is_list else isinstance(value, (int, float))


def _as_list(callbacks: list[Callback] | Callback | None) -> list[Callback]:
    return [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
