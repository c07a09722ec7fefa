"""Evaluation and prediction: every batch of every loader, without gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from scaffold_runtime.engine import move_batch
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loader import EpochLoader
from scaffold_runtime.loops.hooks import takes_argument
from scaffold_runtime.loops.loading import load_validation_data
from scaffold_runtime.loops.resume import rank_state
from scaffold_runtime.metrics import MetricRecorder
from scaffold_runtime.progress import Phase
from scaffold_runtime.seed import isolated_random_state

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer

# The hooks of the sanity check and of a validation within training are those of validation.
_HOOK_WORD = {"sanity_check": "validation", "validate": "validation"}


def check_sanity(trainer: Trainer) -> None:
    """Validate a few batches before training; it leaves no trace."""
    if not trainer.checks_sanity:
        return
    with isolated_random_state():
        trainer.begin_stage("sanity_check")
        trainer.hooks.call("on_sanity_check_start")
        load_validation_data(trainer)
        if trainer.enable_validation:
            limits = trainer.num_sanity_val_batches
            run_evaluation(trainer, trainer.val_loaders, limits)
        trainer.hooks.call("on_sanity_check_end")
        trainer.forget_metrics()
        trainer.begin_stage("train")


def validate_in_fit(trainer: Trainer) -> None:
    """Validate in the middle of training, then go on with training."""
    trainer.keep_metrics()
    ends_epoch = trainer.is_last_batch
    trainer.begin_stage("validate")
    if trainer.is_stepping:
        trainer.hooks.call("on_validation_model_zero_grad")
    load_validation_data(trainer)
    if trainer.enable_validation:
        trainer.rank_state = copy.deepcopy(rank_state(trainer))
        run_evaluation(trainer, trainer.val_loaders, trainer.num_val_batches)
    trainer.begin_stage("train")
    trainer.is_last_batch = ends_epoch
    trainer.progress.phase = Phase.VALIDATED


def run_evaluation(
    trainer: Trainer, loaders: list[EpochLoader], limits: list[int | float]
) -> list[dict[str, float]]:
    """Evaluate every loader; one dict of metrics for each."""
    word = _HOOK_WORD.get(trainer.stage or "", trainer.stage or "")
    hooks, recorder = trainer.hooks, trainer.recorder
    recorder.reset()
    with _evaluation_mode(trainer, word), gradient_context(trainer):
        hooks.call(f"on_{word}_start")
        hooks.call(f"on_{word}_epoch_start")
        trainer.shows_epoch = False
        step = _bind_step(trainer, f"{word}_step", len(loaders))
        for index, (loader, limit) in enumerate(zip(loaders, limits, strict=True)):
            recorder.dataloader_idx = index if len(loaders) > 1 else None
            for batch_idx, batch in _limited(trainer, loader, limit):
                _evaluate_batch(trainer, word, step, batch, batch_idx)
            trainer.keep_metrics()
        recorder.dataloader_idx = None
        trainer.shows_epoch = True
        hooks.call(f"on_{word}_epoch_end")
        results = _finish_metrics(trainer, len(loaders))
        trainer.validation_due, trainer.rank_state = False, None
        hooks.call(f"on_{word}_end")
    return results


def _evaluate_batch(
    trainer: Trainer, word: str, step: Callable[..., Any], batch: Any, batch_idx: int
) -> None:
    """One batch: transfer, hooks, step, and its log lines."""
    hooks, recorder = trainer.hooks, trainer.recorder
    index = recorder.dataloader_idx
    extra = () if index is None else (index,)
    if trainer.transfer is not None:
        batch = trainer.transfer(batch, index or 0)
    recorder.start_batch(batch)
    hooks.call(f"on_{word}_batch_start", batch, batch_idx, *extra)
    recorder.hook = f"{word}_step"
    with trainer.engine.autocast():
        output = step(batch, batch_idx, index or 0)
    recorder.hook = None
    hooks.call(f"on_{word}_batch_end", output, batch, batch_idx, *extra)
    if trainer.loggers and trainer.stage != "sanity_check":
        counts, loader = trainer.progress.eval_batches, f"{trainer.state.fn} {index}"
        values = recorder.metrics(on_step=True).log
        if values:
            trainer.send_metrics(values, step=counts.get(loader, 0))
        counts[loader] = counts.get(loader, 0) + 1


def _limited(
    trainer: Trainer, loader: EpochLoader, limit: int | float
) -> Iterator[tuple[int, Any]]:
    """The first batches of a loader, numbered; none is fetched beyond the limit."""
    if limit == 0:
        return
    batches = loader.iterate(trainer.progress.epoch if trainer.fitting else 0)
    for batch_idx, batch in enumerate(batches):
        trainer.is_last_batch = batch_idx + 1 == limit
        yield batch_idx, batch
        if batch_idx + 1 >= limit:
            return


def _bind_step(trainer: Trainer, name: str, loaders: int) -> Callable[..., Any]:
    """The module's step as a function of (batch, batch_idx, dataloader_idx).

    Raises:
        MisconfigurationError: several loaders and a step that cannot tell them apart.
    """
    step = trainer.profiler.wrap(getattr(trainer.module, name), name)
    takes_index = takes_argument(getattr(trainer.module, name), "batch_idx", 2)
    takes_loader = takes_argument(getattr(trainer.module, name), "dataloader_idx", 3)
    if loaders > 1:
        if not takes_loader:
            raise MisconfigurationError(
                f"{name} is given {loaders} loaders and takes no dataloader_idx: add the"
                " argument, dataloader_idx=0."
            )
        return step
    if takes_index:
        return lambda batch, batch_idx, _: step(batch, batch_idx)
    return lambda batch, *_: step(batch)


def _finish_metrics(trainer: Trainer, loaders: int) -> list[dict[str, float]]:
    """Reduce the epoch, send it to the loggers, and sort it by loader."""
    recorder = trainer.recorder
    if trainer.stage == "sanity_check":
        return []
    trainer.keep_metrics()
    values = recorder.metrics(on_step=False).log
    trainer.send_metrics(values)
    numbers = {name: value.item() for name, value in values.items()}
    results: list[dict[str, float]] = []
    for index in range(loaders):
        own = set(recorder.of_loader(index))
        results.append({name: n for name, n in numbers.items() if name in own})
    return results


# --- prediction ---------------------------------------------------------------------------


def run_prediction(
    trainer: Trainer, loaders: list[EpochLoader], limits: list[int | float]
) -> list[Any]:
    """Predict every batch; a list of what `predict_step` returned, for each loader."""
    hooks, recorder = trainer.hooks, trainer.recorder
    predictions: list[list[Any]] = [[] for _ in loaders]
    with _evaluation_mode(trainer, "predict"), gradient_context(trainer):
        hooks.call("on_predict_start")
        hooks.call("on_predict_epoch_start")
        step = _bind_step(trainer, "predict_step", len(loaders))
        for index, (loader, limit) in enumerate(zip(loaders, limits, strict=True)):
            recorder.dataloader_idx = index if len(loaders) > 1 else None
            for batch_idx, batch in _limited(trainer, loader, limit):
                output = _predict_batch(trainer, step, batch, batch_idx)
                if trainer.returns_predictions:
                    predictions[index].append(move_batch(output, torch.device("cpu")))
        hooks.call("on_predict_epoch_end")
        hooks.call("on_predict_end")
    return predictions


def _predict_batch(
    trainer: Trainer, step: Callable[..., Any], batch: Any, batch_idx: int
) -> Any:
    hooks, index = trainer.hooks, trainer.recorder.dataloader_idx
    if trainer.transfer is not None:
        batch = trainer.transfer(batch, index or 0)
    extra = () if index is None else (index,)
    hooks.call("on_predict_batch_start", batch, batch_idx, *extra)
    with trainer.engine.autocast():
        output = step(batch, batch_idx, index or 0)
    hooks.call("on_predict_batch_end", output, batch, batch_idx, *extra)
    return output


# --- modes --------------------------------------------------------------------------------


@contextmanager
def _evaluation_mode(trainer: Trainer, word: str) -> Iterator[None]:
    """Evaluation mode inside; each submodule's own mode comes back afterwards."""
    modes = [(child, child.training) for child in trainer.module.modules()]
    trainer.hooks.call(f"on_{word}_model_eval")
    yield
    if not trainer.hooks.call(f"on_{word}_model_train"):
        _restore_modes(modes)


def _restore_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    for child, training in modes:
        child.training = training


def gradient_context(trainer: Trainer) -> AbstractContextManager[Any]:
    """No gradients; in inference mode tensors do without their bookkeeping, too."""
    inference = trainer.inference_mode and trainer.strategy.allows_inference_mode
    return torch.inference_mode() if inference else torch.no_grad()


def new_recorder(trainer: Trainer, training: bool) -> MetricRecorder:
    """A recorder for one stage of a run."""
    engine = trainer.engine
    reduce = engine.all_reduce if engine.world_size > 1 else None
    return MetricRecorder(training=training, reduce=reduce, device=engine.device)
