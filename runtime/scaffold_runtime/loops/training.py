"""The training loop, from the first epoch to the last, and what happens in one batch.

on_train_start
for epoch in epochs:
    on_train_epoch_start
    for batch in batches:
        on_train_batch_start
        loss = training_step(batch)        zero_grad, backward
        clip, optimizer.step               every accumulate_grad_batches
        schedulers of steps
        on_train_batch_end, log
        validation                         where it is due
    on_train_epoch_end, log
on_train_end
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.fault import crash_point
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn
from scaffold_runtime.loops import loading
from scaffold_runtime.loops.evaluation import check_sanity, validate_in_fit
from scaffold_runtime.loops.finite import check_loss, check_update
from scaffold_runtime.loops.hooks import is_overridden
from scaffold_runtime.loops.resume import resume_epoch, save_and_stop
from scaffold_runtime.module import Module
from scaffold_runtime.optimization import SchedulerConfig, needs_closure
from scaffold_runtime.precision import Closure
from scaffold_runtime.progress import Phase
from scaffold_runtime.seed import isolated_random_state

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer


def fit(trainer: Trainer) -> None:
    """Train until the limits are reached or somebody sets `trainer.should_stop`."""
    trainer.validated_at = time.monotonic()
    trainer.enable_validation = loading.can_validate(trainer)
    check_sanity(trainer)
    if trainer.limit_train_batches == 0:
        return
    loading.load_training_data(trainer)
    progress = trainer.progress  # a batch above 0: a resumed run has an epoch to finish
    ends_epoch = progress.phase == Phase.EPOCH_DONE
    if ends_epoch:
        trainer.begin_stage("train")
        trainer.shows_epoch = True
        resume_epoch(trainer)
        finish_epoch(trainer)
    if trainer.num_training_batches == 0 or (not progress.batch and is_done(trainer)):
        resume_epoch(trainer)  # a finished run gets its metrics and random state back
        if ends_epoch:  # the run that saved may have died before it
            trainer.hooks.call("on_train_end")
        return
    has_step = is_overridden(trainer.module, "validation_step", Module)
    if has_step != loading.provides_validation(trainer):
        names = ("validation_step", "val_dataloader")
        there, missing = names if has_step else names[::-1]
        rank_zero_warn(f"There is a {there} and no {missing}: nothing is validated.")
    if evaluating := sum(not child.training for child in trainer.module.modules()):
        rank_zero_warn(
            f"{evaluating} module(s) are in evaluation mode, and training starts."
        )
    # Between two epochs an uninterrupted run does not start: nothing may be drawn.
    with isolated_random_state() if ends_epoch else nullcontext():
        if loading.validates_in_epoch(trainer):
            trainer.begin_stage("validate")
            loading.load_validation_data(trainer)
        trainer.begin_stage("train")
        trainer.shows_epoch = True
        trainer.hooks.call("on_train_start")
    epoch = trainer.profiler.wrap(train_epoch, "run_training_epoch")
    while progress.batch or not is_done(trainer):
        epoch(trainer)
    trainer.hooks.call("on_train_end")


def is_done(trainer: Trainer) -> bool:
    """A limit is reached, or the run may stop early and was asked to."""
    progress = trainer.progress
    counts = {"max_steps": progress.global_step, "max_epochs": progress.epoch}
    for name, count in counts.items():
        limit = getattr(trainer, name)
        if -1 < limit <= count:
            rank_zero_info(f"`Trainer.fit` stopped: `{name}={limit}` reached.")
            return True
    return trainer.should_stop and trainer.may_stop_early


def train_epoch(trainer: Trainer) -> None:
    """Train one epoch, or the rest of one that a checkpoint stopped in."""
    progress, hooks = trainer.progress, trainer.hooks
    loading.reload_training_data(trainer)
    batches = resume_epoch(trainer)
    if batches is None:
        hooks.call("on_train_epoch_start")
        batches = trainer.train_loader.iterate(progress.epoch)
    if progress.phase in (Phase.BATCH_DONE, Phase.VALIDATED):
        trainer.shows_epoch = False
        finish_batch(trainer)
    batches = trainer.profiler.watch(batches, "train_dataloader_next")
    train = trainer.profiler.wrap(train_batch, "run_training_batch")
    for batch, is_last in _with_end(trainer, batches):
        if (
            progress.phase == Phase.BATCH_SKIPPED
            or -1 < trainer.max_steps <= progress.global_step
            or (trainer.should_stop and trainer.may_stop_early)
        ):
            break
        trainer.is_last_batch = is_last
        train(trainer, batch, progress.batch)
        finish_batch(trainer)
        if trainer.signals.received or trainer.distributed:
            stop_if_asked(trainer)
    trainer.train_loader.finish(batches, progress.batch)
    progress.phase = Phase.EPOCH_DONE
    trainer.keep_metrics()
    trainer.shows_epoch = True
    hooks.call("on_train_epoch_end")
    trainer.keep_metrics()
    finish_epoch(trainer)


def _with_end(trainer: Trainer, batches: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
    """The epoch's batches, each with a word on whether it is the last.

    Only where their number is unknown is a batch fetched ahead: fetching draws from the
    random state before its turn.
    """
    if trainer.num_training_batches == math.inf:
        return trainer.train_loader.with_end(batches)
    left = max(0, int(trainer.num_training_batches) - trainer.progress.batch)
    flags = itertools.chain(itertools.repeat(False, left - 1), (True,))
    return zip(itertools.islice(batches, left), flags, strict=False)


def train_batch(trainer: Trainer, batch: Any, batch_idx: int) -> None:
    """Train on one batch, up to its hooks and log lines."""
    hooks, recorder, progress = trainer.hooks, trainer.recorder, trainer.progress
    if trainer.transfer is not None:
        batch = trainer.transfer(batch, 0)
    recorder.batch, recorder.batch_size = batch, None
    trainer.shows_epoch = False
    start = "on_train_batch_start"
    if batch is None:
        rank_zero_warn("train_dataloader gave None as a batch: it is skipped.")
    elif hooks[start]:
        answer = hooks.call(start, batch, batch_idx)[-1]
        if answer == -1 and is_overridden(trainer.module, start, Module):
            trainer.is_last_batch = True
            progress.phase = Phase.BATCH_SKIPPED
            progress.batches += 1
            step_schedulers(trainer, "epoch", plateau=False)
            return
    plan = trainer.plan
    arguments = (batch, batch_idx) if plan.takes_index else (batch,)
    accumulated = trainer.accumulate_grad_batches
    is_whole = trainer.is_last_batch or (batch_idx + 1) % accumulated == 0
    trainer.is_stepping = stepping = is_whole or not plan.automatic
    if batch is None:
        outputs = None
    elif not plan.automatic:
        trainer.recorder.hook = "training_step"
        with trainer.engine.autocast():
            _, outputs = _read_output(trainer, plan.training_step(*arguments))
    elif stepping and plan.by_closure:
        outputs = step_by_closure(trainer, arguments)
    else:
        if accumulated > 1:
            trainer.strategy.set_gradient_sync(stepping)
        outputs = forward_backward(trainer, arguments)
        if stepping and trainer.optimizers:
            apply_gradients(trainer, trainer.optimizers[0])
        elif stepping:  # nothing is optimized, and the steps' limits hold
            progress.global_step += 1
    progress.batch = batch_idx + 1
    progress.batches += 1
    progress.phase = Phase.BATCH_DONE
    if trainer.lr_scheduler_configs:
        step_schedulers(trainer, "step", plateau=False)
        if trainer.is_last_batch:
            step_schedulers(trainer, "epoch", plateau=False)
    trainer.validation_due = validation_is_due(trainer)
    if hooks["on_train_batch_end"]:
        hooks.call("on_train_batch_end", outputs, batch, batch_idx)
    recorder.batch = recorder.batch_size = None
    if stepping and trainer.loggers and (trainer.logs_step or trainer.fast_dev_run):
        trainer.send_metrics(recorder.metrics(on_step=True).log)


def forward_backward(trainer: Trainer, arguments: tuple[Any, ...]) -> Any:
    """The step's forward pass, zeroed gradients, and the backward pass."""
    plan, hooks, batch_idx = trainer.plan, trainer.hooks, trainer.progress.batch
    trainer.recorder.hook = "training_step"
    if plan.autocast is None:
        output = plan.training_step(*arguments)
    else:
        with plan.autocast():
            output = plan.training_step(*arguments)
    loss: torch.Tensor | None
    if isinstance(output, torch.Tensor):
        loss, outputs = output, {"loss": output.detach()}
    else:
        loss, outputs = _read_output(trainer, output)
    if loss is not None and trainer.check_finite:
        check_loss(trainer, loss)
    accumulated = trainer.accumulate_grad_batches
    if batch_idx % accumulated == 0 and trainer.optimizers:
        optimizer = trainer.optimizers[0]
        if hooks["on_before_zero_grad"]:
            hooks.call("on_before_zero_grad", optimizer)
        if plan.zero_grad is None:
            optimizer.zero_grad()
        else:
            plan.zero_grad(trainer.current_epoch, batch_idx, optimizer)
    if loss is None:
        return outputs
    if accumulated > 1:
        loss = loss / accumulated
        outputs["loss"] = loss.detach()
    if hooks["on_before_backward"]:
        hooks.call("on_before_backward", loss)
    plan.backward(loss)
    if hooks["on_after_backward"]:
        hooks.call("on_after_backward")
    return outputs


def _read_output(trainer: Trainer, output: Any) -> tuple[torch.Tensor | None, Any]:
    """The loss in what `training_step` returned, and the outputs for the hooks."""
    automatic = trainer.plan.automatic
    if isinstance(output, torch.Tensor):
        return output, {"loss": output.detach()}
    if output is None and automatic:
        if trainer.world_size > 1:
            raise MisconfigurationError(
                "training_step returned None on one of several ranks, which leaves the"
                " others waiting: return a loss of zero instead."
            )
        rank_zero_warn("training_step returned None: the batch is skipped.")
    if output is None:
        return None, {}
    loss = output.get("loss") if isinstance(output, Mapping) else None
    if isinstance(loss, torch.Tensor):
        return loss, {**output, "loss": loss.detach()}
    if isinstance(output, Mapping) and not automatic:
        return None, output
    raise MisconfigurationError(
        f"training_step returned a {type(output).__name__}: return the loss as a tensor, a"
        " dict with a tensor under 'loss', or None to skip the batch."
    )


def apply_gradients(trainer: Trainer, optimizer: Optimizer) -> None:
    """Clip, check, and step; a step by closure is counted when its hook returns."""
    if trainer.plan.works_before_step:
        before_step(trainer, optimizer)
    if trainer.check_finite and not check_update(trainer, optimizer):
        return
    trainer.plan.step(optimizer)
    if not trainer.plan.by_closure:
        trainer.progress.global_step += 1


def before_step(trainer: Trainer, optimizer: Optimizer) -> None:
    """What comes between the gradients and the step: hooks, then clipping."""
    trainer.engine.precision.unscale(optimizer)
    if trainer.hooks["on_before_optimizer_step"]:
        trainer.hooks.call("on_before_optimizer_step", optimizer)
    if trainer.plan.clip is not None:
        trainer.recorder.hook = "configure_gradient_clipping"
        trainer.plan.clip(
            optimizer,
            gradient_clip_val=trainer.gradient_clip_val,
            gradient_clip_algorithm=trainer.gradient_clip_algorithm,
        )


def step_by_closure(trainer: Trainer, arguments: tuple[Any, ...]) -> Any:
    """A step that runs the forward and backward pass itself: LBFGS, or an own hook."""
    results: list[Any] = []
    batch_idx = trainer.progress.batch

    def closure() -> torch.Tensor | None:
        results.append(forward_backward(trainer, arguments))
        loss: torch.Tensor | None = results[-1].get("loss")
        return loss

    trainer.strategy.set_gradient_sync(True)
    optimizer = trainer.managed_optimizers[0]
    trainer.recorder.hook = "optimizer_step"
    trainer.module.optimizer_step(trainer.current_epoch, batch_idx, optimizer, closure)
    trainer.progress.global_step += 1
    if not results:
        raise MisconfigurationError(
            f"{type(trainer.module).__name__}.optimizer_step did not run its closure: pass"
            " it on with optimizer.step(closure=optimizer_closure), or call it."
        )
    return results[-1]


def take_step(trainer: Trainer, optimizer: Optimizer, closure: Closure | None) -> Any:
    """A managed optimizer's step: in manual mode, or from an own `optimizer_step`."""
    if closure is None or not needs_closure(optimizer):
        result = closure() if closure is not None else None
        apply_gradients(trainer, optimizer)
        return result

    def prepared() -> Any:
        result = closure()
        before_step(trainer, optimizer)
        if trainer.check_finite:
            check_update(trainer, optimizer)
        return result

    trainer.progress.global_step += not trainer.plan.by_closure
    return trainer.engine.step(optimizer, prepared)


def finish_batch(trainer: Trainer) -> None:
    """What follows a batch's hooks: validation, plateau schedulers, the loggers' x axis."""
    progress = trainer.progress
    if progress.phase == Phase.BATCH_DONE:
        if trainer.should_stop and trainer.may_stop_early:  # said by a callback since
            trainer.validation_due = validation_is_due(trainer)
        if trainer.validation_due:
            crash_point("training.validating")
            validate_in_fit(trainer)
    if progress.phase == Phase.BATCH_SKIPPED:
        return
    if trainer.lr_scheduler_configs:
        step_schedulers(trainer, "step", plateau=True)
    if trainer.is_stepping:
        progress.batches_that_stepped += 1
    progress.phase = Phase.BETWEEN


def finish_epoch(trainer: Trainer) -> None:
    """What follows an epoch's hooks: plateau schedulers, log lines, the epoch's number."""
    progress = trainer.progress
    if trainer.lr_scheduler_configs and trainer.is_last_batch:
        step_schedulers(trainer, "epoch", plateau=True)
    trainer.send_metrics(trainer.recorder.metrics(on_step=False).log, behind=1)
    trainer.recorder.reset()
    crash_point("training.epoch_end")
    progress.epoch += 1
    progress.batch, progress.phase = 0, Phase.BETWEEN


def stop_if_asked(trainer: Trainer) -> None:
    """End the run if any rank was asked to stop; all ranks do so at the same step."""
    asked, trainer.agreed_signal = trainer.agreed_signal, None
    if not trainer.distributed:
        asked = trainer.signals.received
    elif trainer.is_stepping and asked is None:
        _, asked = trainer.engine.agree_on_most(0, trainer.signals.received)
    if asked:
        save_and_stop(trainer, asked)


# --- when ---------------------------------------------------------------------------------


def validation_is_due(trainer: Trainer) -> bool:
    """Whether validation follows the batch that has just been trained on."""
    progress, every = trainer.progress, trainer.check_val_every_n_epoch
    if not (trainer.enable_validation and loading.validates_in_epoch(trainer)):
        return False
    if trainer.should_stop and trainer.may_stop_early:
        return True
    if isinstance(trainer.val_check_interval, timedelta):
        passed = time.monotonic() - trainer.validated_at
        due = passed >= trainer.val_check_interval.total_seconds()
        return trainer.engine.broadcast(due)
    if trainer.val_check_batch == math.inf:
        return trainer.is_last_batch
    count = progress.batches if every is None else progress.batch
    return count % int(trainer.val_check_batch) == 0


def step_schedulers(trainer: Trainer, interval: str, plateau: bool) -> None:
    """Step the schedulers of an interval, those that want a metric or the others."""
    if not trainer.plan.automatic or (interval == "step" and not trainer.is_stepping):
        return
    progress = trainer.progress
    count = progress.batch if interval == "step" else progress.epoch + 1
    for config in trainer.lr_scheduler_configs:
        if (config.interval, config.reduce_on_plateau) == (interval, plateau):
            if count % config.frequency == 0:
                _step_scheduler(trainer, config)


def _step_scheduler(trainer: Trainer, config: SchedulerConfig) -> None:
    metrics = trainer.callback_metrics if config.reduce_on_plateau else {}
    metric = metrics.get(config.monitor or "")
    if config.reduce_on_plateau and metric is None:
        message = (
            f"{type(config.scheduler).__name__} monitors {config.monitor!r}, which"
            f" nothing has logged; logged are {sorted(metrics)}."
        )
        if config.strict:
            raise MisconfigurationError(message)
        rank_zero_warn(message)
        return
    trainer.recorder.hook = "lr_scheduler_step"
    trainer.module.lr_scheduler_step(config.scheduler, metric)
