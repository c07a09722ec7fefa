"""Losses and gradients that are NaN or infinite: noticed before they reach the weights.

On a CPU the verdict is in before the optimizer steps. On an accelerator that would make
every step wait for the device: there the update is masked on the device, and the verdict
is read a step later, when it has long arrived.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Optimizer

from scaffold_runtime.errors import NonFiniteError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.optimization import trainable

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer


class DelayedVerdict:
    """Whether a step was finite, decided on the device and read a step later.

    Args:
        scales: gradients are scaled (float16): the scaler masks the update by itself.
    """

    def __init__(self, scales: bool) -> None:
        self._scales = scales
        self._bad: torch.Tensor | None = None
        self._arriving: torch.Tensor | None = None
        self._event: torch.cuda.Event | None = None
        self._place = ""

    def note(self, value: torch.Tensor) -> None:
        """Take a loss or a gradient norm into the verdict on the coming step."""
        bad = value.detach().isfinite().all().logical_not().float()
        self._bad = bad if self._bad is None else torch.maximum(self._bad, bad)

    def mask(self, trainer: Trainer, optimizer: Optimizer) -> None:
        """Let the optimizer's step change nothing where the verdict is bad, on all ranks."""
        bad = self._bad  # None: training_step returned no loss
        bad = torch.zeros((), device=trainer.engine.device) if bad is None else bad
        bad = trainer.engine.all_reduce(bad, "max")
        if not self._scales:
            optimizer.found_inf = bad  # type: ignore[attr-defined]
        self._arriving, self._bad = bad.to("cpu", non_blocking=True), None
        if bad.device.type == "cuda":
            self._event = torch.cuda.Event()
            self._event.record()
        self._place = _place(trainer)

    def read(self) -> str:
        """Where the last step was not finite, nothing where it was."""
        if self._arriving is None:
            return ""
        if self._event is not None:
            self._event.synchronize()
        bad, self._arriving = bool(self._arriving.item()), None
        return f"The loss or gradient was not finite {self._place}" if bad else ""


def make_verdict(trainer: Trainer) -> DelayedVerdict | None:
    """A delayed verdict where the optimizer can mask its update on the device."""
    scales = getattr(trainer.engine.precision, "scaler", None) is not None
    own, on_cuda = trainer.optimizers, trainer.engine.device.type == "cuda"
    masks = all(getattr(o, "_step_supports_amp_scaling", False) for o in own)
    usual = trainer.module.automatic_optimization and trainer.strategy.name != "fsdp"
    return DelayedVerdict(scales) if on_cuda and usual and (scales or masks) else None


def check_loss(trainer: Trainer, loss: torch.Tensor) -> None:
    """Note a loss that is not finite; `check_update` acts before the next step."""
    if trainer.verdict is not None:
        trainer.verdict.note(loss)
    elif not loss.detach().isfinite().all():
        batch = trainer.progress.batch
        trainer.nonfinite = f"The loss of batch {batch} is {loss.tolist()}"


def check_update(trainer: Trainer, optimizer: Optimizer) -> bool:
    """Whether the optimizer may step: all ranks agree that loss and gradients are finite.

    The ranks' requests to stop travel with the same word.

    Raises:
        NonFiniteError: something is not finite, and the run is to stop at that.
    """
    norm = _gradient_norm(trainer, optimizer)
    if trainer.verdict is not None:
        settle(trainer)
        if norm is not None:
            trainer.verdict.note(norm)
        trainer.verdict.mask(trainer, optimizer)
        return True
    if norm is not None and not math.isfinite(norm.item()):
        batch = trainer.progress.batch
        finding = f"The gradient norm of batch {batch} is {norm.item()}"
        trainer.nonfinite = trainer.nonfinite or finding
    found, signal = int(bool(trainer.nonfinite)), trainer.signals.received
    if trainer.distributed:
        found, trainer.agreed_signal = trainer.engine.agree_on_most(found, signal)
    if not found:
        return True
    finding = trainer.nonfinite or "Another rank found a loss that is not finite"
    _stop_or_skip(trainer, f"{finding} {_place(trainer)}")
    trainer.nonfinite = ""
    optimizer.zero_grad()
    return False


def settle(trainer: Trainer) -> None:
    """Wait for a verdict that is not in yet: before the next step, and before a save.

    Raises:
        NonFiniteError: it is bad, and the run is to stop at that.
    """
    if trainer.verdict is not None:
        finding = trainer.verdict.read()
    else:
        finding = trainer.nonfinite if trainer.on_nonfinite == "stop" else ""
    if finding:
        _stop_or_skip(trainer, finding)


def _gradient_norm(trainer: Trainer, optimizer: Optimizer) -> torch.Tensor | None:
    """The norm that clipping has computed, or ours; None where scaling sees to it."""
    norm, trainer.gradient_norm = trainer.gradient_norm, None
    if trainer.precision == "16-mixed":
        return None
    if norm is None and trainer.check_finite == "grad":
        gradients = [p.grad for p in trainable(optimizer) if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return norm


def _place(trainer: Trainer) -> str:
    own = trainer.progress
    return f"(epoch {own.epoch}, batch {own.batch}, step {own.global_step})"


def _stop_or_skip(trainer: Trainer, finding: str) -> None:
    if trainer.on_nonfinite == "skip":
        rank_zero_warn(f"{finding}; this step is skipped.")
        return
    raise NonFiniteError(
        f"{finding}: the weights are still those of the step before. Lower the learning"
        " rate, clip gradients, or set on_nonfinite='skip' to pass over such batches."
    )
