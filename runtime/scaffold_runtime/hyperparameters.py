"""Hyperparameters: the arguments a module was made with, kept for its checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import enum
import inspect
import os
import types
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from scaffold_runtime.errors import CheckpointError, MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn

VALUES_KEY = "hyper_parameters"
DATA_VALUES_KEY = "datamodule_hyper_parameters"


class AttributeDict(dict[str, Any]):
    """A dict whose keys are attributes as well: `hparams.lr` is `hparams["lr"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"There is no hyperparameter {name!r}.") from None

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __repr__(self) -> str:
        width = max(map(len, self), default=0) + 1
        rows = (f'"{key}":{"":{width - len(key)}}{self[key]}' for key in sorted(self))
        return "\n".join(rows)


class HasHyperparameters:
    """What modules and data modules know of the arguments they were made with.

    Attributes:
        CHECKPOINT_HYPER_PARAMS_KEY: where a checkpoint keeps them; `..._NAME` the name of
            the argument that they all came in.
    """

    CHECKPOINT_HYPER_PARAMS_KEY = VALUES_KEY
    CHECKPOINT_HYPER_PARAMS_NAME = "hparams_name"
    _hparams: Any
    _hparams_initial: Any
    _hparams_name: str
    _log_hyperparams: bool = False

    @property
    def hparams(self) -> Any:
        """Hyperparameters kept by `save_hyperparameters`, as attributes and as a mapping."""
        return self.__dict__.setdefault("_hparams", AttributeDict())

    @property
    def hparams_initial(self) -> Any:
        """A copy of the hyperparameters as they were first saved."""
        return copy.deepcopy(self.__dict__.get("_hparams_initial", AttributeDict()))

    def save_hyperparameters(
        self,
        *args: Any,
        ignore: Sequence[str] | str | None = None,
        frame: types.FrameType | None = None,
        logger: bool = True,
    ) -> None:
        """Keep arguments of `__init__`, of this class and of those that call it.

        Args:
            *args: names of arguments to keep, or one object (a dict, a namespace, a
                dataclass) to keep as a whole; nothing keeps all arguments.
            ignore: names of arguments to leave out, kept by a base class or not.
            frame: the frame of the `__init__` to look at; the caller's by default.
            logger: send them to the loggers when a run starts.

        Example:
            def __init__(self, width: int = 64, lr: float = 1e-3):
                super().__init__()
                self.save_hyperparameters()
        """
        caller = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
        ignored = {ignore} if isinstance(ignore, str) else set(ignore or ())
        arguments = _arguments_of_init(self, caller)
        kept, name = _choose(arguments, args)
        self.hparams.update(kept)
        for ignored_name in ignored:
            self.hparams.pop(ignored_name, None)
        self._log_hyperparams, self._hparams_name = logger, name
        self._hparams_initial = _copy_values(self.hparams)


def _choose(
    arguments: dict[str, Any], chosen: tuple[Any, ...]
) -> tuple[dict[str, Any], str]:
    """What to keep, and the argument's name where one object is kept as a whole."""
    if not chosen:
        return arguments, "kwargs"
    if all(isinstance(name, str) for name in chosen):
        missing = [name for name in chosen if name not in arguments]
        if missing:
            raise MisconfigurationError(
                f"save_hyperparameters({missing[0]!r}): __init__ has no such argument;"
                f" it has {', '.join(arguments)}."
            )
        return {name: arguments[name] for name in chosen}, "kwargs"
    whole = {} if chosen[0] is None else chosen[0]
    names = [name for name, value in arguments.items() if value is whole]
    values = whole if isinstance(whole, Mapping) else getattr(whole, "__dict__", None)
    if len(chosen) > 1 or not isinstance(values, Mapping):
        raise MisconfigurationError(
            "save_hyperparameters takes names of arguments, or one object with values of"
            f" its own, and got {chosen}: put them in one dict."
        )
    return dict(values), names[0] if names else "kwargs"


def _arguments_of_init(owner: object, frame: types.FrameType | None) -> dict[str, Any]:
    """Arguments of every `__init__` of `owner` on the stack; the outermost call wins."""
    if dataclasses.is_dataclass(owner):
        names = [field.name for field in dataclasses.fields(owner) if field.init]
        return {name: getattr(owner, name) for name in names}
    found: dict[str, Any] = {}
    while frame is not None:
        values = inspect.getargvalues(frame)
        is_init = frame.f_code.co_name == "__init__" and values.args
        if is_init and values.locals.get(values.args[0]) is owner:
            found.update({name: values.locals[name] for name in values.args[1:]})
            if values.keywords:
                found.update(values.locals[values.keywords])
        elif found:
            break
        frame = frame.f_back
    return found


def _copy_values(hparams: Any) -> Any:
    """A copy that later changes do not reach; what cannot be copied is shared."""
    try:
        return copy.deepcopy(hparams)
    except Exception:  # a value's own __deepcopy__ may raise anything
        return copy.copy(hparams)


def plain_hyperparameters(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that a checkpoint may hold: plain data and tensors.

    Paths and enums become strings; what else is not plain is left out, with a warning.
    """
    kept: dict[str, Any] = {}
    for name, value in hparams.items():
        try:
            kept[name] = as_plain(value)
        except TypeError:
            rank_zero_warn(
                f"The hyperparameter {name!r} is a {type(value).__name__} and stays out of"
                f" the checkpoint, which holds plain data: save_hyperparameters(ignore="
                f"[{name!r}]) says that you mean it, and load_from_checkpoint(...,"
                f" {name}=...) gives it back."
            )
    return kept


def as_plain(value: Any) -> Any:
    """Plain data as it is; paths and enums as strings.

    Raises:
        TypeError: the value is neither.
    """
    if value is None or type(value) in (bool, int, float, str, complex, bytes):
        return value
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, str) else value.name
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, torch.Tensor) and not value.requires_grad:
        return value
    if isinstance(value, Mapping):
        return {as_plain(key): as_plain(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(as_plain(item) for item in value)
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    raise TypeError(type(value).__name__)


def accepted(owner: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that `owner` takes."""
    parameters = inspect.signature(owner).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {k: v for k, v in arguments.items() if takes_any or k in parameters}


def init_arguments(
    owner: type, saved: Mapping[str, Any], name: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments to make `owner` with: the saved ones its `__init__` takes, then the given.

    Raises:
        CheckpointError: a required argument is neither saved nor given.
    """
    parameters = inspect.signature(owner).parameters
    merged = accepted(owner, {**saved, **given})
    if name in parameters and name != "kwargs":
        merged = {name: AttributeDict({**saved, **given}), **accepted(owner, given)}
    missing = [
        p.name
        for p in parameters.values()
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and p.name not in merged
    ]
    if missing:
        raise CheckpointError(
            f"{owner.__name__} needs {' and '.join(map(repr, missing))}, which the checkpoint does not"
            f" hold: pass {missing[0]}=... to load_from_checkpoint, or call"
            " save_hyperparameters() in __init__ before training."
        )
    return merged
