"""The loaders of a run: asked for, built anew for this rank, and counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from torch.utils.data import RandomSampler

from scaffold_runtime.combined_loader import CombinedLoader, combine
from scaffold_runtime.data import DataModule
from scaffold_runtime.engine import move_batch
from scaffold_runtime.errors import MisconfigurationError, WrongTypeError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loader import EpochLoader
from scaffold_runtime.loops.hooks import is_overridden
from scaffold_runtime.module import Module

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer

# Where arguments, attributes and hooks do not say a stage by its own word.
_WORDS = {"validate": "val"}
TRANSFER_HOOKS = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
)


def provides_validation(trainer: Trainer) -> bool:
    """Somebody provides loaders to validate on."""
    given = trainer.given_loaders.get("validate") is not None
    return given or _owner(trainer, "val_dataloader") is not None


def _request(trainer: Trainer, stage: str) -> Any:
    """Ask for a stage's loaders: given ones, a data module's, or the module's.

    Raises:
        MisconfigurationError: nobody provides them, or what comes is no iterable.
    """
    hook = f"{_WORDS.get(stage, stage)}_dataloader"
    loaders = trainer.given_loaders.get(stage)
    if loaders is None:
        owner = _owner(trainer, hook) or trainer.datamodule or trainer.module
        loaders, hook = getattr(owner, hook)(), f"{type(owner).__name__}.{hook}"
    mode = "max_size_cycle" if stage == "train" else "sequential"
    loaders = combine(loaders, mode)
    for loader in getattr(loaders, "flattened", [loaders]):
        if not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
            raise WrongTypeError(
                f"{hook} gave {type(loader).__name__}, which cannot be iterated: give a"
                " DataLoader or another iterable of batches."
            )
    return loaders


def _owner(trainer: Trainer, hook: str) -> Any:
    """Who overrides a hook; the data module comes first."""
    datamodule, module = trainer.datamodule, trainer.module
    if datamodule is not None and is_overridden(datamodule, hook, DataModule):
        return datamodule
    return module if is_overridden(module, hook, Module) else None


def load_training_data(trainer: Trainer) -> None:
    """Ask for the training loader, build it anew, and count what the epoch holds."""
    if trainer.train_loader is not None:
        return
    loader = _build(trainer, _request(trainer, "train"), training=True)
    trainer.train_loader, trainer.loaded_train_at = loader, trainer.progress.epoch
    count = trainer.num_training_batches = _limit_batches(trainer, loader, "train")
    trainer.val_check_batch = _validation_interval(trainer, count)
    logs_rarely = trainer.loggers and count < trainer.log_every_n_steps
    if logs_rarely and not trainer.fast_dev_run:
        rank_zero_warn(
            f"An epoch has {count} batches and log_every_n_steps is"
            f" {trainer.log_every_n_steps}: lower it to see more than epoch values."
        )


def reload_training_data(trainer: Trainer) -> None:
    """Ask anew every `reload_dataloaders_every_n_epochs`."""
    if _is_due(trainer, trainer.loaded_train_at):
        trainer.train_loader = None  # type: ignore[assignment]
        load_training_data(trainer)


def can_validate(trainer: Trainer) -> bool:
    """There is a validation step, and somebody provides its loaders."""
    return (
        trainer.limit_val_batches != 0
        and is_overridden(trainer.module, "validation_step", Module)
        and provides_validation(trainer)
    )


def validates_in_epoch(trainer: Trainer) -> bool:
    """Whether this epoch is one of those with validation."""
    every = trainer.check_val_every_n_epoch
    return every is None or (trainer.progress.epoch + 1) % every == 0


def load_validation_data(trainer: Trainer) -> None:
    """Ask for the validation loaders, where there is something to validate."""
    needed = not trainer.eval_loaders or _is_due(trainer, trainer.loaded_val_at)
    if not (trainer.enable_validation and needed):
        return
    load_evaluation_data(trainer, "validate")
    if validates_in_epoch(trainer):
        trainer.loaded_val_at = trainer.progress.epoch
    trainer.enable_validation = any(trainer.num_val_batches)


def _is_due(trainer: Trainer, loaded_at: float) -> bool:
    """Whether loaders that were asked for in an epoch are to be asked for anew."""
    every = trainer.reload_dataloaders_every_n_epochs
    return every > 0 and trainer.progress.epoch - loaded_at >= every


def load_evaluation_data(trainer: Trainer, stage: str) -> list[int | float]:
    """Build a stage's loaders anew; how many batches of each are taken."""
    word = _WORDS.get(stage, stage)
    requested: Any = CombinedLoader([], "sequential")
    if getattr(trainer, f"limit_{word}_batches") != 0:
        requested = _request(trainer, stage)
    in_turn = getattr(requested, "mode", "") == "sequential"
    if isinstance(requested, CombinedLoader) and stage == "predict" and not in_turn:
        raise MisconfigurationError(
            "predict cannot tell apart the batches of CombinedLoader(mode="
            f"{requested.mode!r}): use mode='sequential'."
        )
    sources = requested.flattened if in_turn else [requested]
    loaders = [_build(trainer, source, training=False) for source in sources]
    counts = [_limit_batches(trainer, loader, word) for loader in loaders]
    trainer.eval_loaders = loaders
    setattr(trainer, f"num_{word}_batches", counts)
    built = [loader.loader for loader in loaders]
    collection = requested.restore_structure(built) if in_turn else built[0]
    setattr(trainer, f"{word}_dataloaders", collection)
    return counts


def _build(trainer: Trainer, source: Any, training: bool) -> EpochLoader:
    """A loader for this rank; `overfit_batches` takes its shuffling away.

    Prediction leaves no sample out, so it keeps a last batch that is smaller.
    """
    overfits = bool(trainer.overfit_batches) and trainer.fitting
    members = getattr(source, "flattened", [source])
    samplers = [getattr(member, "sampler", None) for member in members]
    shuffled = any(isinstance(sampler, RandomSampler) for sampler in samplers)
    if shuffled and overfits:
        rank_zero_warn(
            "overfit_batches takes the same batches each epoch: not shuffled."
        )
    elif shuffled and not training:
        rank_zero_warn(
            f"The order of what {trainer.state.stage} sees is shuffled: is it meant?"
        )
    deals, whole = trainer.use_distributed_sampler, trainer.predicting
    return trainer.engine.setup_loader(source, training, deals, overfits, whole)


def _limit_batches(trainer: Trainer, loader: EpochLoader, word: str) -> int | float:
    """Apply a stage's limit to every member of a loader; the batches of an epoch then."""
    name = f"limit_{word}_batches"
    limit = getattr(trainer, name)
    if any(member.length == 0 for member in loader.members):
        rank_zero_warn(f"{word}_dataloader gave a loader that has no batch.")
    return loader.limit([count_batches(m.length, limit, name) for m in loader.members])


def count_batches(length: int | float, limit: int | float, name: str) -> int | float:
    """Batches to take of a loader: an int limit counts, a float is a share.

    Raises:
        MisconfigurationError: a share of an unknown length, or one that leaves nothing.
    """
    if length == 0:
        rank_zero_warn(f"{name} has nothing to take: the loader is empty.")
    if isinstance(limit, int):
        return min(limit, length)
    if limit == 1.0:
        return length
    if limit == 0.0 or length == 0:
        return 0
    if length == math.inf:
        raise MisconfigurationError(
            f"{name}={limit} is a share of a loader without a length: give a whole number"
            " of batches, or 1.0 for all."
        )
    count = int(length * limit)
    if count == 0:
        raise MisconfigurationError(
            f"{name}={limit} of {length} batches is less than one: use at least"
            f" {1 / length:.4g}, or a whole number of batches."
        )
    return count


def _validation_interval(trainer: Trainer, batches: int | float) -> int | float:
    """Batches between two validations, infinite for the end of an epoch of unknown length.

    Raises:
        MisconfigurationError: the interval does not fit the epoch.
    """
    interval, every = trainer.val_check_interval, trainer.check_val_every_n_epoch
    if isinstance(interval, timedelta):
        return math.inf
    if isinstance(interval, int):
        if interval > batches and every is not None and trainer.limit_val_batches != 0:
            raise MisconfigurationError(
                f"val_check_interval={interval} is more than the {batches} batches of an"
                " epoch: lower it, or count across epochs with check_val_every_n_epoch=None."
            )
        return interval
    if batches < math.inf:
        return max(1, int(batches * interval))
    if interval != 1.0:
        raise MisconfigurationError(
            f"val_check_interval={interval} is a share of a training loader without a"
            " length: use 1.0 or a whole number of batches."
        )
    return math.inf


def bind_transfer(trainer: Trainer) -> Callable[[Any, int], Any] | None:
    """The function that brings a batch to the device, None where it is there already."""
    engine, precision = trainer.engine, trainer.engine.precision
    owners = {hook: _owner(trainer, hook) for hook in TRANSFER_HOOKS}
    if not any(owners.values()):
        if engine.device.type == "cpu" and not precision.converts_input:
            return None
        return lambda batch, _: engine.to_device(batch)
    before, move, after = (
        getattr(owner or trainer.module, hook) for hook, owner in owners.items()
    )

    def transfer(batch: Any, dataloader_idx: int) -> Any:
        if precision.converts_input:
            batch = move_batch(batch, None, precision.convert_input)
        batch = move(before(batch, dataloader_idx), engine.device, dataloader_idx)
        return after(batch, dataloader_idx)

    return transfer
