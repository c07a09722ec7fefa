"""Losses and gradients that are NaN or infinite: noticed before they reach the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from scaffold_runtime.errors import NonFiniteError
from scaffold_runtime.launch import rank_zero_warn

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer


def check_loss(trainer: Trainer, loss: torch.Tensor, batch_idx: int) -> None:
    """Note a loss that is not finite; `check_update` acts before the next step."""
    if not math.isfinite(loss.detach().item()):
        trainer.nonfinite = f"The loss of batch {batch_idx} is {loss.item()}"


def check_update(trainer: Trainer) -> bool:
    """Whether the optimizer may step: all ranks agree that loss and gradients are finite.

    The ranks' requests to stop travel with the same word.

    Raises:
        NonFiniteError: something is not finite, and the run is to stop at that.
    """
    finding = trainer.nonfinite
    if not finding and trainer.gradient_norm is not None:
        finding = _judge_norm(trainer, trainer.gradient_norm)
    found = int(bool(finding))
    if trainer.distributed:
        found, trainer.stop_signal = trainer.engine.agree_on_most(
            found, trainer.signals.received
        )
        trainer.stop_was_agreed_on = True
    if not found:
        return True
    trainer.nonfinite = ""
    where = finding or "Another rank found a loss that is not finite"
    message = f"{where} (epoch {trainer.current_epoch}, step {trainer.global_step})"
    if trainer.on_nonfinite == "skip":
        rank_zero_warn(f"{message}; this step is skipped.")
        trainer.optimizers[0].zero_grad()
        return False
    raise NonFiniteError(
        f"{message}: the weights are still those of the step before. Lower the learning"
        " rate, clip gradients, or set on_nonfinite='skip' to pass over such batches."
    )


def _judge_norm(trainer: Trainer, norm: torch.Tensor) -> str:
    """What is wrong with a gradient norm, nothing where loss scaling will see to it."""
    trainer.gradient_norm = None
    if math.isfinite(norm.item()) or trainer.precision == "16-mixed":
        return ""
    return f"The gradient norm of batch {trainer.progress.batch} is {norm.item()}"
