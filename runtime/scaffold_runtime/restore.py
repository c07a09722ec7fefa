"""Modules and data modules made again from a checkpoint, for use outside a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from scaffold_runtime.checkpoint import check_weights, fitting, read_checkpoint
from scaffold_runtime.errors import CheckpointError
from scaffold_runtime.hyperparameters import HasHyperparameters, init_arguments

if TYPE_CHECKING:
    from scaffold_runtime.data import DataModule
    from scaffold_runtime.module import Module

M = TypeVar("M", bound="Module")
D = TypeVar("D", bound="DataModule")
T = TypeVar("T", bound=HasHyperparameters)
PathLike = str | os.PathLike[str]


def load_module(
    owner: type[M],
    path: PathLike | IO[bytes],
    map_location: Any,
    hparams_file: PathLike | None,
    strict: bool | None,
    given: dict[str, Any],
) -> M:
    """A module of type `owner` with a checkpoint's weights.

    Raises:
        CheckpointError: the checkpoint is damaged, lacks an argument, or does not fit.
    """
    content = read_checkpoint(path, map_location, for_training=False)
    module = _make(owner, content, hparams_file, given)
    module.configure_model()
    module.on_load_checkpoint(content)
    strict = module.strict_loading if strict is None else strict
    check_weights(module, content, path)
    with fitting("What the module has saved", path):
        module.load_state_dict(content["state_dict"], strict=strict)
    tensors = [t for t in content["state_dict"].values() if isinstance(t, Tensor)]
    return module.to(tensors[0].device) if tensors else module


def load_datamodule(
    owner: type[D],
    path: PathLike | IO[bytes],
    map_location: Any,
    hparams_file: PathLike | None,
    given: dict[str, Any],
) -> D:
    """A data module of type `owner` with a checkpoint's state.

    Raises:
        CheckpointError: the checkpoint is damaged or lacks an argument.
    """
    content = read_checkpoint(path, map_location, for_training=False)
    datamodule = _make(owner, content, hparams_file, given)
    if owner.__qualname__ in content:
        datamodule.load_state_dict(content[owner.__qualname__])
    return datamodule


def _make(
    owner: type[T],
    content: dict[str, Any],
    hparams_file: PathLike | None,
    given: dict[str, Any],
) -> T:
    """An object of the hyperparameters in a checkpoint, or in the file in their place."""
    saved = content.get(owner.CHECKPOINT_HYPER_PARAMS_KEY, {})
    if hparams_file is not None:
        saved = read_hparams(hparams_file)
    name = content.get(owner.CHECKPOINT_HYPER_PARAMS_NAME, "kwargs")
    return owner(**init_arguments(owner, saved, name, given))


def read_hparams(path: PathLike) -> dict[str, Any]:
    """Hyperparameters from a YAML file.

    Raises:
        CheckpointError: there is no such file, or it is no mapping in YAML.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"The hyperparameter file {path} cannot be read: {reason}."
        ) from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds no mapping of names to values.")
    return values
