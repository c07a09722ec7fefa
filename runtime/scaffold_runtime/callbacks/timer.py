"""`Timer`: how long each stage took, and an end to training after so much time."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_info
from scaffold_runtime.refusal import refuse_unless_one_of

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

STAGES = ("train", "sanity_check", "validate", "test", "predict")


class Timer(Callback):
    """Measure the stages of a run, and stop training after `duration`.

    Time spent before a resume counts.

    Args:
        duration: a string `DD:HH:MM:SS`, a timedelta, or its arguments as a dict.
        interval: look at the clock after each `"step"` or each `"epoch"`.
        verbose: say when the time is up.

    Raises:
        MisconfigurationError: a duration or interval that is none of these; when a time is
            asked for, a stage that is none.
    """

    def __init__(
        self,
        duration: str | timedelta | dict[str, int] | None = None,
        interval: str = "step",
        verbose: bool = True,
    ) -> None:
        refuse_unless_one_of(self, "step", "epoch", interval=interval)
        self._duration = None if duration is None else in_seconds(duration)
        self._interval, self._verbose = interval, verbose
        self._start_time: dict[str, float] = {}
        self._end_time: dict[str, float] = {}
        self._offset = 0.0

    def start_time(self, stage: str = "train") -> float | None:
        """When a stage began, in seconds of the monotonic clock."""
        return self._times(stage)[0]

    def end_time(self, stage: str = "train") -> float | None:
        """When a stage ended, in seconds of the monotonic clock."""
        return self._times(stage)[1]

    def _times(self, stage: str) -> tuple[float | None, float | None]:
        """When a stage began and ended."""
        refuse_unless_one_of(self, *STAGES, stage=stage)
        return self._start_time.get(stage), self._end_time.get(stage)

    def time_elapsed(self, stage: str = "train") -> float:
        """Seconds that a stage has taken so far."""
        (start, end), now = self._times(stage), time.monotonic()
        offset = self._offset if stage == "train" else 0.0
        return (end or now) - (start or now) + offset

    def time_remaining(self, stage: str = "train") -> float | None:
        """Seconds that are left of `duration`, None without one."""
        left = (self._duration or 0.0) - self.time_elapsed(stage)
        return None if self._duration is None else left

    def state_dict(self) -> dict[str, Any]:
        """Seconds that the stages have taken."""
        return {"time_elapsed": {stage: self.time_elapsed(stage) for stage in STAGES}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count the time before the resume."""
        self._offset = state_dict.get("time_elapsed", {}).get("train", 0.0)

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Stop at once where the time was up before the resume."""
        self._check(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock of the stage."""
        stage = trainer.state.stage or "train"
        self._start_time[stage] = time.monotonic()
        self._end_time.pop(stage, None)

    def on_train_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Stop the clock of the stage."""
        self._end_time[trainer.state.stage or "train"] = time.monotonic()

    on_validation_start = on_test_start = on_train_start
    on_validation_end = on_test_end = on_train_end

    def on_train_batch_end(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """Look at the clock, where each step does."""
        if self._interval == "step":
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Look at the clock, where each epoch does."""
        if self._interval == "epoch":
            self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        """Stop training on all ranks when rank 0's time is up."""
        limit, elapsed = self._duration, self.time_elapsed()
        if limit is not None and trainer.engine.broadcast(elapsed >= limit):
            trainer.should_stop = True
            if self._verbose:
                after = timedelta(seconds=int(elapsed))
                rank_zero_info(f"Training stops: its time is up after {after}.")


def in_seconds(duration: str | timedelta | dict[str, int]) -> float:
    """A duration in seconds.

    Raises:
        MisconfigurationError: it is none.
    """
    given: Any = duration
    if isinstance(given, dict):
        with suppress(TypeError):
            given = timedelta(**given)
    elif match := re.fullmatch(r"\s*(\d+):(\d\d):(\d\d):(\d\d)\s*", str(given)):
        days, hours, minutes, seconds = map(int, match.groups())
        given = timedelta(days, seconds, minutes=minutes, hours=hours)
    if not isinstance(given, timedelta):
        raise MisconfigurationError(
            f"{duration!r} is no duration: write it as DD:HH:MM:SS, such as 00:12:00:00"
            " for twelve hours, or as a timedelta or its keyword arguments."
        )
    return given.total_seconds()
