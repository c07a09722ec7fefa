"""Validation, test and prediction: every batch of every loader, without gradients."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from scaffold_runtime.engine import move_batch
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loader import EpochLoader
from scaffold_runtime.loops import loading
from scaffold_runtime.loops.hooks import profile_step, takes_argument
from scaffold_runtime.loops.resume import rank_state
from scaffold_runtime.progress import Phase
from scaffold_runtime.seed import isolated_random_state

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer

# The hooks of the sanity check and of a validation within training are those of validation.
_HOOK_WORD = {"sanity_check": "validation", "validate": "validation"}


def check_sanity(trainer: Trainer) -> None:
    """Validate a few batches before training, not after a resume; it leaves no trace."""
    wanted = trainer.num_sanity_val_steps != 0 and trainer.ckpt_path is None
    if not (wanted and trainer.enable_validation):
        return
    trainer.rank_state = copy.deepcopy(rank_state(trainer))
    with isolated_random_state():
        trainer.begin_stage("sanity_check")
        trainer.hooks.call("on_sanity_check_start")
        loading.load_validation_data(trainer)
        if trainer.enable_validation:
            run_loaders(trainer, trainer.num_sanity_val_batches)
        trainer.hooks.call("on_sanity_check_end")
        trainer.forget_metrics()
        trainer.begin_stage("train")
    trainer.rank_state = None


def validate_in_fit(trainer: Trainer) -> None:
    """Validate in the middle of training, then go on with training."""
    trainer.keep_metrics()
    trainer.begin_stage("validate")
    if trainer.is_stepping:
        trainer.hooks.call("on_validation_model_zero_grad")
    loading.load_validation_data(trainer)
    if trainer.enable_validation:
        trainer.rank_state = copy.deepcopy(rank_state(trainer))
        run_loaders(trainer, trainer.num_val_batches)
    trainer.begin_stage("train")
    trainer.validated_at = time.monotonic()


def evaluate(trainer: Trainer, keeps_outputs: bool = False) -> list[Any]:
    """What validate, test and predict do: ask for the loaders, and run them once."""
    stage, progress = trainer.state.stage or "", trainer.progress
    others = {k: n for k, n in progress.eval_batches.items() if stage not in k}
    progress.eval_batches = others  # an x axis of its own each time
    counts = loading.load_evaluation_data(trainer, stage)
    trainer.begin_stage(stage)
    return run_loaders(trainer, counts, keeps_outputs) if any(counts) else []


def run_loaders(
    trainer: Trainer, limits: list[int | float], keeps_outputs: bool = False
) -> list[Any]:
    """Run every loader; for each a dict of metrics, or what the step returned of a batch.

    Evaluation mode inside; each submodule's own mode comes back afterwards.
    """
    stage = trainer.state.stage or ""
    word = _HOOK_WORD.get(stage, stage)
    hooks, recorder, loaders = trainer.hooks, trainer.recorder, trainer.eval_loaders
    outputs: list[list[Any]] = [[] for _ in loaders]
    # A validation in fit may keep tensors for training, so it makes no inference tensors.
    allowed = not trainer.fitting and trainer.strategy.allows_inference_mode
    inference = trainer.inference_mode and allowed
    gradients_off = torch.inference_mode if inference else torch.no_grad
    modes = [(child, child.training) for child in trainer.module.modules()]
    hooks.call(f"on_{word}_model_eval")
    with gradients_off():
        hooks.call(f"on_{word}_start")
        hooks.call(f"on_{word}_epoch_start")
        step = _bind_step(trainer, word, len(loaders))
        evaluate = trainer.profiler.wrap(_evaluate_batch, f"run_{stage}_batch")
        for index, (loader, limit) in enumerate(zip(loaders, limits, strict=True)):
            recorder.dataloader_idx = index if len(loaders) > 1 else None
            for batch_idx, batch in _limited(trainer, loader, limit):
                output = evaluate(trainer, word, step, batch, batch_idx)
                if keeps_outputs:
                    outputs[index].append(move_batch(output, torch.device("cpu")))
            trainer.keep_metrics()
        recorder.dataloader_idx = None
        trainer.shows_epoch = True
        hooks.call(f"on_{word}_epoch_end")
        metrics = _finish_metrics(trainer, len(loaders))
        if trainer.fitting and not trainer.sanity_checking:
            trainer.validation_due, trainer.rank_state = False, None
            trainer.progress.phase = Phase.VALIDATED
        hooks.call(f"on_{word}_end")
        recorder.reset()
    if not hooks.call(f"on_{word}_model_train"):
        for child, training in modes:
            child.training = training
    return outputs if keeps_outputs else metrics


def _evaluate_batch(
    trainer: Trainer, word: str, step: Callable[..., Any], batch: Any, batch_idx: int
) -> Any:
    """One batch: transfer, hooks, step, and its log lines."""
    hooks, recorder = trainer.hooks, trainer.recorder
    index = recorder.dataloader_idx
    extra = () if index is None else (index,)
    if trainer.transfer is not None:
        batch = trainer.transfer(batch, index or 0)
    recorder.batch, recorder.batch_size = batch, None
    hooks.call(f"on_{word}_batch_start", batch, batch_idx, *extra)
    recorder.hook = f"{word}_step"
    with trainer.engine.autocast():
        output = step(batch, batch_idx, index or 0)
    recorder.hook = None
    hooks.call(f"on_{word}_batch_end", output, batch, batch_idx, *extra)
    recorder.batch = recorder.batch_size = None
    if trainer.loggers and trainer.evaluating and not trainer.sanity_checking:
        entry_point = "fit" if trainer.fitting else trainer.state.stage
        counts, loader = trainer.progress.eval_batches, f"{entry_point} {index}"
        values = recorder.metrics(on_step=True).log
        trainer.send_metrics(values, step=counts.get(loader, 0))
        counts[loader] = counts.get(loader, 0) + 1
    return output


def _limited(
    trainer: Trainer, loader: EpochLoader, limit: int | float
) -> Iterator[tuple[int, Any]]:
    """The first batches of a loader, numbered; none is fetched beyond the limit."""
    if limit == 0:
        return iter(())
    batches = loader.iterate(trainer.progress.epoch if trainer.fitting else 0)
    batches = trainer.profiler.watch(batches, f"{trainer.state.stage}_dataloader_next")
    count = None if limit == math.inf else int(limit)
    return enumerate(itertools.islice(batches, count))


def _bind_step(trainer: Trainer, word: str, loaders: int) -> Callable[..., Any]:
    """The module's step as a function of (batch, batch_idx, dataloader_idx).

    Raises:
        MisconfigurationError: the step or a hook of the batch cannot tell several loaders
            apart, or insists on an index where there is one.
    """
    name = f"{word}_step"
    counts = {f"on_{word}_batch_start": 3, f"on_{word}_batch_end": 4, name: 3}
    for hook, count in counts.items():
        own = getattr(trainer.module, hook)
        if own is None:
            continue
        index = inspect.signature(own).parameters.get("dataloader_idx")
        fits = index is None or index.default is not index.empty
        if loaders > 1:
            fits = takes_argument(own, "dataloader_idx", count)
        if not fits:
            raise MisconfigurationError(
                f"{hook} needs the argument dataloader_idx=0, which is given where there"
                f" are several loaders, and there are {loaders}."
            )
    step = profile_step(trainer, own, name)
    if loaders > 1:
        return step
    if takes_argument(own, "batch_idx", 2):
        return lambda batch, batch_idx, _: step(batch, batch_idx)
    return lambda batch, *_: step(batch)


def _finish_metrics(trainer: Trainer, loaders: int) -> list[dict[str, float]]:
    """Reduce the epoch, send it to the loggers, and sort it by loader."""
    recorder = trainer.recorder
    if trainer.state.stage == "sanity_check":
        return []
    trainer.keep_metrics()
    values = recorder.metrics(on_step=False).log
    trainer.send_metrics(values)
    numbers = {name: value.item() for name, value in values.items()}
    own = [set(recorder.of_loader(index)) for index in range(loaders)]
    return [{n: x for n, x in numbers.items() if n in names} for names in own]


def print_results(results: list[dict[str, float]], stage: str) -> None:
    """Metrics of each loader, a name and a number a line."""
    for index, metrics in enumerate(results):
        print(stage if len(results) == 1 else f"{stage}, loader {index}")
        width = max(map(len, metrics), default=0)
        for name, value in metrics.items():
            print(f"  {name:<{width}}  {value:.4f}")
