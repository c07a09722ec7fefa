"""`ThroughputMonitor`: log how many batches, samples and tokens a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from scaffold_runtime.callback import Callback
from scaffold_runtime.refusal import refuse_unless_count

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

Reading = dict[str, float]
RATES = {k: k for k in ("batches", "samples", "flops")} | {"lengths": "items"}


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
        refuse_unless_count(self, 1, window_size=window_size)
        self.batch_size_fn, self.length_fn = batch_size_fn, length_fn
        self.window_size, self.separator = window_size, separator
        self.available_flops = available_flops
        self._started: dict[str, float] = {}
        self._readings: dict[str, deque[Reading]] = {}

    def _compute(self, readings: deque[Reading], world_size: int) -> Reading:
        """Totals, and rates by device and over all devices once the window is full."""
        first, last = readings[0], readings[-1]
        counted = ["time", *(name for name in RATES if last[name] and name != "flops")]
        found = {name: last[name] for name in counted}
        seconds = last["time"] - first["time"]
        if len(readings) <= self.window_size or seconds <= 0:
            return found
        for name, unit in RATES.items():
            if last[name]:
                rate = (last[name] - first[name]) / seconds
                found[f"device{self.separator}{unit}_per_sec"] = rate
                if world_size > 1:
                    found[f"{unit}_per_sec"] = rate * world_size
                if name == "flops" and self.available_flops:
                    found[f"device{self.separator}mfu"] = rate / self.available_flops
        return found

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock of the stage; the sanity check is not measured."""
        if not trainer.sanity_checking:
            stage = str(trainer.state.stage)
            nothing_yet = dict.fromkeys(("time", *RATES), 0.0)
            self._started[stage] = time.perf_counter()
            self._readings[stage] = deque([nothing_yet], maxlen=self.window_size + 1)

    on_validation_start = on_test_start = on_predict_start = on_train_start

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Module, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Count a batch, and log at the steps that are logged at all.

        The x axis is batches that ended in a step; of evaluations, batches done.
        """
        stage, engine = str(trainer.state.stage), trainer.engine
        if stage not in self._readings:
            return
        last, training = self._readings[stage][-1], stage == "train"
        x, every = int(last["batches"]) + 1, trainer.log_every_n_steps
        due = every > 0 and x % every == 0
        if training:
            due = trainer.is_stepping and trainer.logs_step
        if due and engine.device.type == "cuda":
            torch.cuda.synchronize(engine.device)
        with torch.no_grad():
            added = {
                "batches": 1,
                "samples": self.batch_size_fn(batch),
                "lengths": self.length_fn(batch) if self.length_fn is not None else 0,
                "flops": getattr(pl_module, "flops_per_batch", 0),
            }
        reading = {name: last[name] + number for name, number in added.items()}
        reading["time"] = time.perf_counter() - self._started[stage]
        self._readings[stage].append(reading)
        if due and trainer.is_global_zero:
            found = self._compute(self._readings[stage], trainer.world_size)
            named = {
                f"{stage}{self.separator}{name}": torch.tensor(n, dtype=torch.float64)
                for name, n in found.items()
            }
            trainer.send_metrics(named, step=None if training else x)

    on_validation_batch_end = on_train_batch_end  # type: ignore[assignment]
    on_test_batch_end = on_train_batch_end  # type: ignore[assignment]
    on_predict_batch_end = on_train_batch_end  # type: ignore[assignment]

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Leave the time since training's last batch out of training's."""
        if "train" in self._started:
            trained_until = self._started["train"] + self._readings["train"][-1]["time"]
            self._started["train"] += time.perf_counter() - trained_until
