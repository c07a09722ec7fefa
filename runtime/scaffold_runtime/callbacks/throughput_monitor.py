"""`ThroughputMonitor`: log how many batches, samples and tokens a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from scaffold_runtime.callback import Callback

if TYPE_CHECKING:
    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer


@dataclass(frozen=True)
class Reading:
    """Totals of one device at one moment; times in seconds since the stage began."""

    time: float = 0.0
    batches: int = 0
    samples: int = 0
    lengths: int = 0
    flops: float = 0.0


class ThroughputMonitor(Callback):
    """Log throughput over a rolling window, as `train/device/samples_per_sec` and so on.

    Counted are batches, samples, items (with `length_fn`), and floating point operations
    where the module has `flops_per_batch`; under several ranks also their sums over all
    devices, without `device/`. The device is waited for only when something is logged.

    Args:
        batch_size_fn: number of samples in a batch.
        length_fn: number of items (tokens, pixels) in a batch.
        window_size: number of batches that a rate is taken over.
        separator: what stands between the parts of a name.
        available_flops: the device's peak of operations a second, for `device/mfu`.
    """

    def __init__(
        self,
        batch_size_fn: Callable[[Any], int],
        length_fn: Callable[[Any], int] | None = None,
        window_size: int = 100,
        separator: str = "/",
        available_flops: float | None = None,
    ) -> None:
        self.batch_size_fn = batch_size_fn
        self.length_fn = length_fn
        self.window_size = window_size
        self.separator = separator
        self.available_flops = available_flops
        self._started: dict[str, float] = {}
        self._readings: dict[str, deque[Reading]] = {}

    def _start(self, stage: str) -> None:
        self._started[stage] = time.perf_counter()
        self._readings[stage] = deque([Reading()], maxlen=self.window_size + 1)

    def _count(
        self, trainer: Trainer, pl_module: Module, stage: str, batch: Any, due: bool
    ) -> dict[str, float] | None:
        """Add a batch to the totals; the values to log, where that is due."""
        if due and trainer.engine.device.type == "cuda":
            torch.cuda.synchronize(trainer.engine.device)
        last = self._readings[stage][-1]
        with torch.no_grad():
            samples = self.batch_size_fn(batch)
            length = self.length_fn(batch) if self.length_fn is not None else 0
        reading = Reading(
            time=time.perf_counter() - self._started[stage],
            batches=last.batches + 1,
            samples=last.samples + samples,
            lengths=last.lengths + length,
            flops=last.flops + getattr(pl_module, "flops_per_batch", 0),
        )
        self._readings[stage].append(reading)
        if not due or not trainer.is_global_zero:
            return None
        metrics = self._compute(stage, trainer.world_size)
        return {f"{stage}{self.separator}{name}": v for name, v in metrics.items()}

    def _compute(self, stage: str, world_size: int) -> dict[str, float]:
        """Totals, and rates by device and over all devices."""
        readings = self._readings[stage]
        first, last = readings[0], readings[-1]
        totals = {"time": last.time, "batches": last.batches, "samples": last.samples}
        if self.length_fn is not None:
            totals["lengths"] = last.lengths
        seconds = last.time - first.time
        if len(readings) <= self.window_size or seconds <= 0:
            return totals
        rates = {
            "batches_per_sec": (last.batches - first.batches) / seconds,
            "samples_per_sec": (last.samples - first.samples) / seconds,
        }
        if self.length_fn is not None:
            rates["items_per_sec"] = (last.lengths - first.lengths) / seconds
        if last.flops:
            rates["flops_per_sec"] = (last.flops - first.flops) / seconds
        device = {f"device{self.separator}{name}": v for name, v in rates.items()}
        if last.flops and self.available_flops:
            mfu = rates["flops_per_sec"] / self.available_flops
            device[f"device{self.separator}mfu"] = mfu
        summed = {name: rate * world_size for name, rate in rates.items()}
        return {**totals, **device, **(summed if world_size > 1 else {})}

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock."""
        self._start("train")

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count, and log at the steps that are logged at all."""
        step = trainer.batches_that_stepped
        due = trainer.is_stepping and (step + 1) % trainer.log_every_n_steps == 0
        metrics = self._count(trainer, pl_module, "train", batch, due)
        if metrics is not None:
            _send(trainer, {**metrics, "epoch": trainer.current_epoch}, step)

    def on_validation_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock of validation."""
        self._start("validate")

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Leave the time since training's last batch out of training's."""
        if "train" in self._started:
            trained_until = self._started["train"] + self._readings["train"][-1].time
            self._started["train"] += time.perf_counter() - trained_until

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count, and log every so many batches."""
        if not trainer.sanity_checking:
            self._evaluated("validate", trainer, pl_module, batch)

    def on_test_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock."""
        self._start("test")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count, and log every so many batches."""
        self._evaluated("test", trainer, pl_module, batch)

    def on_predict_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock."""
        self._start("predict")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count, and log every so many batches."""
        self._evaluated("predict", trainer, pl_module, batch)

    def _evaluated(
        self, stage: str, trainer: Trainer, pl_module: Module, batch: Any
    ) -> None:
        batches = self._readings[stage][-1].batches + 1
        due = batches % trainer.log_every_n_steps == 0
        metrics = self._count(trainer, pl_module, stage, batch, due)
        if metrics is not None:
            _send(trainer, metrics, batches)


def _send(trainer: Trainer, metrics: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step=step)
