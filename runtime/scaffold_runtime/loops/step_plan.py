"""What one training step does in this run, decided once when the fit starts."""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loops.hooks import is_overridden, profile_step, takes_argument
from scaffold_runtime.module import Module
from scaffold_runtime.optimization import needs_closure
from scaffold_runtime.profilers import PassThroughProfiler

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer


@dataclass(frozen=True)
class StepPlan:
    """The parts of a step; None is a part that has nothing to do.

    Attributes:
        training_step: the user's step, through the strategy's wrapper.
        takes_index: it takes `batch_idx`.
        automatic: the loop steps the optimizer.
        by_closure: the loop's step runs the forward and backward pass itself.
        autocast: the context of the forward pass.
        zero_grad: the module's own `optimizer_zero_grad`.
        backward: the backward pass; where it can be, no more than `loss.backward()`.
        clip: the module's gradient clipping.
        step: the optimizer's step, through loss scaling where that is on.
        works_before_step: something comes between the gradients and the step.
    """

    training_step: Callable[..., Any]
    takes_index: bool
    automatic: bool
    by_closure: bool
    autocast: Callable[[], AbstractContextManager[Any]] | None
    zero_grad: Callable[..., Any] | None
    backward: Callable[..., Any]
    clip: Callable[..., Any] | None
    step: Callable[..., Any]
    works_before_step: bool


def plan_step(trainer: Trainer) -> StepPlan:
    """Look at module, precision and callbacks, and decide what a step does.

    Raises:
        MisconfigurationError: the module and the trainer's arguments contradict each other.
    """
    module, precision = trainer.module, trainer.engine.precision
    automatic = module.automatic_optimization
    if not automatic:
        _refuse_for_manual(trainer)
    scales = getattr(precision, "scaler", None) is not None
    own_clipping = is_overridden(module, "configure_gradient_clipping", Module)
    clips = automatic and (own_clipping or bool(trainer.gradient_clip_val))
    profiler = trainer.profiler
    measures = not isinstance(profiler, PassThroughProfiler)
    backward: Callable[..., Any] = operator.methodcaller("backward")
    if measures or scales or not automatic or is_overridden(module, "backward", Module):
        backward = profiler.wrap(trainer.scaled_backward, "backward")
    has_hook = bool(trainer.hooks["on_before_optimizer_step"])
    own_zero = is_overridden(module, "optimizer_zero_grad", Module)
    own_step = is_overridden(module, "optimizer_step", Module)
    wrapped = trainer.strategy.wrap_step(module, "training_step")
    step = operator.methodcaller("step") if precision.is_plain else trainer.engine.step
    return StepPlan(
        training_step=profile_step(trainer, wrapped, "training_step"),
        takes_index=takes_argument(module.training_step, "batch_idx", 2),
        automatic=automatic,
        by_closure=automatic
        and (own_step or any(map(needs_closure, trainer.optimizers))),
        autocast=None if precision.is_plain else precision.forward_context,
        zero_grad=module.optimizer_zero_grad if own_zero else None,
        backward=backward,
        clip=module.configure_gradient_clipping if clips else None,
        step=profiler.wrap(step, "optimizer_step"),
        works_before_step=clips or scales or has_hook,
    )


def _refuse_for_manual(trainer: Trainer) -> None:
    """Flags that would be ignored are refused."""
    name = type(trainer.module).__name__
    if not trainer.strategy.allows_manual_optimization:
        raise MisconfigurationError(
            f"{name} is optimized manually, and strategy={trainer.strategy.name!r} shares"
            " gradients only after a step: use strategy='ddp'."
        )
    if trainer.gradient_clip_val:
        raise MisconfigurationError(
            f"{name} is optimized manually, so gradient_clip_val={trainer.gradient_clip_val}"
            " has no effect: call self.clip_gradients(optimizer, gradient_clip_val=...)."
        )
    if trainer.accumulate_grad_batches > 1:
        raise MisconfigurationError(
            f"{name} is optimized manually, so accumulate_grad_batches="
            f"{trainer.accumulate_grad_batches} has no effect: step every so many batches"
            " in training_step."
        )
