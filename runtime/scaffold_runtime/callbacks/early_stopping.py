"""`EarlyStopping`: end training when a metric no longer improves."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import UserError
from scaffold_runtime.launch import log, rank_zero_warn
from scaffold_runtime.refusal import refuse_unless, refuse_unless_one_of

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

Modes = dict[str, Callable[..., Tensor]]
RECORD = "wait_count stopped_epoch best_score patience stopping_reason_message".split()


class EarlyStoppingReason(Enum):
    """Why training was stopped."""

    NOT_STOPPED = 0
    STOPPING_THRESHOLD = 1
    DIVERGENCE_THRESHOLD = 2
    PATIENCE_EXHAUSTED = 3
    NON_FINITE_METRIC = 4


class MissingMetricError(UserError, RuntimeError):
    """The monitored metric was not logged."""


class EarlyStopping(Callback):
    """Stop training when a monitored metric stops improving.

    Checked in this order: the value is finite, `stopping_threshold`,
    `divergence_threshold`, improvement, patience. All ranks stop together.

    Args:
        monitor: name of the logged metric.
        min_delta: how much better than the best a value must be to count.
        patience: checks without improvement after which training stops.
        verbose: say when the metric improved and why training stopped.
        mode: `"min"` or `"max"`, which values are better.
        strict: a metric that was not logged is an error.
        check_finite: stop when the metric is NaN or infinite.
        stopping_threshold: stop when the metric is better than this.
        divergence_threshold: stop when the metric is worse than this.
        check_on_train_epoch_end: check at the end of the training epoch; False checks
            after validation; None decides by how often validation runs.
        log_rank_zero_only: only rank 0 says something.

    Attributes:
        best_score: best value so far.
        wait_count: checks since the last improvement.
        stopped_epoch: epoch in which training was stopped, else 0.
        stopping_reason: an `EarlyStoppingReason`.
        stopping_reason_message: the same as a sentence.

    Raises:
        MisconfigurationError: `mode` is neither of the two.
    """

    after_module: ClassVar[bool] = True
    mode_dict: ClassVar[Modes] = {"min": torch.lt, "max": torch.gt}

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: str = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        refuse_unless_one_of(self, *self.mode_dict, mode=mode)
        limits = {
            "min_delta": min_delta,
            "stopping_threshold": stopping_threshold,
            "divergence_threshold": divergence_threshold,
        }
        refuse_unless(self, (Real, Tensor), "a number", **limits)
        refuse_unless(self, Real, "a number", patience=patience)
        self.monitor, self.mode, self.strict = monitor, mode, strict
        self.min_delta = min_delta if mode == "max" else -min_delta
        self.patience, self.verbose = patience, verbose
        self.check_finite, self.log_rank_zero_only = check_finite, log_rank_zero_only
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self._check_on_train_epoch_end = check_on_train_epoch_end
        self.best_score = torch.tensor(math.inf if mode == "min" else -math.inf)
        self.wait_count = self.stopped_epoch = 0
        self.stopping_reason = EarlyStoppingReason.NOT_STOPPED
        self.stopping_reason_message: str | None = None

    @property
    def monitor_op(self) -> Callable[..., Tensor]:
        """`torch.lt` or `torch.gt`: whether its first argument is the better value."""
        return self.mode_dict[self.mode]

    @property
    def state_key(self) -> str:
        """Class name with what makes two of these callbacks differ."""
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long ago it was."""
        state = {name: getattr(self, name) for name in RECORD}
        return {**state, "stopping_reason": self.stopping_reason.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on waiting where the saved run was."""
        state = {"stopping_reason": 0, "stopping_reason_message": None, **state_dict}
        for name in RECORD:
            setattr(self, name, state[name])
        self.stopping_reason = EarlyStoppingReason(state["stopping_reason"])

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Decide when to check: where validation runs once an epoch, at the epoch's end."""
        if self._check_on_train_epoch_end is None:
            often = trainer.val_check_interval, trainer.check_val_every_n_epoch
            self._check_on_train_epoch_end = often == (1.0, 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Check, unless validation is the time for it."""
        if self._check_on_train_epoch_end:
            self._run_early_stopping_check(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Check, unless the training epoch's end is the time for it."""
        if not self._check_on_train_epoch_end:
            self._run_early_stopping_check(trainer)

    def _should_skip_check(self, trainer: Trainer) -> bool:
        """No check outside fit, or in the sanity check."""
        return trainer.state.fn != "fit" or trainer.sanity_checking

    def _run_early_stopping_check(self, trainer: Trainer) -> None:
        """Stop the run on every rank if the metric on any rank says so."""
        if self._should_skip_check(trainer) or trainer.fast_dev_run:
            return
        metric = trainer.callback_metrics.get(self.monitor)
        if metric is None:
            self._report_missing_metric(sorted(trainer.callback_metrics))
            return
        current = torch.as_tensor(metric).squeeze()
        stop, reason = self._evaluate_stopping_criteria(current)
        if trainer.engine.agree(stop, all=False):
            trainer.should_stop = True
            self.stopped_epoch = trainer.current_epoch
            self.stopping_reason_message = reason
        if reason and self.verbose:
            self._say(trainer, reason)

    def _report_missing_metric(self, logged: list[str]) -> None:
        """Raise where the callback is strict, warn where it is verbose."""
        message = (
            f"Early stopping conditioned on metric `{self.monitor}`, which was not"
            f" logged; monitor one of {logged}, or log it."
        )
        if self.strict:
            raise MissingMetricError(message)
        if self.verbose:
            rank_zero_warn(message, category=RuntimeWarning)

    def _evaluate_stopping_criteria(self, current: Tensor) -> tuple[bool, str | None]:
        """Compare a value with the limits and the best; return (stop, why)."""
        why, better = EarlyStoppingReason, self.monitor_op
        good, bad = self.stopping_threshold, self.divergence_threshold
        shown = f"{self.monitor} = {current:.3f}"
        end = f"the best was {self.best_score:.3f}. Stopping."
        infinite = self.check_finite and not torch.isfinite(current)
        reached = good is not None and better(current, good)
        diverged = bad is not None and better(-current, -bad)
        for holds, reason, rule in (
            (infinite, why.NON_FINITE_METRIC, "is not finite"),
            (reached, why.STOPPING_THRESHOLD, f"is better than {good}"),
            (diverged, why.DIVERGENCE_THRESHOLD, f"is worse than {bad}"),
        ):
            if holds:
                self.stopping_reason = reason
                return True, f"{shown} {rule}; {end}"
        if better(current - self.min_delta, self.best_score.to(current.device)):
            self.best_score, self.wait_count = current, 0
            return False, f"{shown} is the best so far."
        self.wait_count += 1
        if self.wait_count < self.patience:
            return False, None
        self.stopping_reason = why.PATIENCE_EXHAUSTED
        checks = f"did not improve in the last {self.wait_count} checks"
        return True, f"{self.monitor} {checks}; {end}"

    def _say(self, trainer: Trainer, message: str) -> None:
        """Log a sentence, with the rank where there are several."""
        if trainer.world_size == 1:
            log.info(message)
        elif trainer.global_rank == 0 or not self.log_rank_zero_only:
            log.info("[rank %d] %s", trainer.global_rank, message)
