"""What a checkpoint's hyperparameters make again, for use outside a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any, TypeVar

from scaffold_runtime.checkpoint import read_checkpoint
from scaffold_runtime.errors import CheckpointError
from scaffold_runtime.hyperparameters import HasHyperparameters, init_arguments

T = TypeVar("T", bound=HasHyperparameters)
PathLike = str | os.PathLike[str]


def make_again(
    owner: type[T],
    path: PathLike | IO[bytes],
    map_location: Any,
    hparams_file: PathLike | None,
    given: dict[str, Any],
) -> tuple[T, dict[str, Any]]:
    """An object of the hyperparameters in a checkpoint, and all that the checkpoint holds.

    Raises:
        CheckpointError: the checkpoint is damaged or lacks an argument.
    """
    content = read_checkpoint(path, map_location, for_training=False)
    saved = content.get(owner.CHECKPOINT_HYPER_PARAMS_KEY, {})
    if hparams_file is not None:
        saved = read_hparams(hparams_file)
    name = content.get(owner.CHECKPOINT_HYPER_PARAMS_NAME, "kwargs")
    return owner(**init_arguments(owner, saved, name, given)), content


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
