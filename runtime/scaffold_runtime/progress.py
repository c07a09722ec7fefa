"""Where a run stands: what a trainer does, and counters that a checkpoint can carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any


class TrainerFn(str, Enum):
    """What a trainer was asked to do."""

    FITTING = "fit"
    VALIDATING = "validate"
    TESTING = "test"
    PREDICTING = "predict"


class TrainerStatus(str, Enum):
    """How a run stands."""

    INITIALIZING = "initializing"
    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class RunningStage(str, Enum):
    """The words of `trainer.state.stage`, which are plain strings."""

    TRAINING = "train"
    SANITY_CHECKING = "sanity_check"
    VALIDATING = "validate"
    TESTING = "test"
    PREDICTING = "predict"


class TrainerState:
    """What a trainer does now.

    Attributes:
        fn: the entry point that runs or ran last.
        status: how it stands.
        stage: `train`, `sanity_check`, `validate`, `test`, `predict`, or None in between.
    """

    def __init__(self, fn: TrainerFn | None = None) -> None:
        self.fn = fn
        self.status = TrainerStatus.RUNNING if fn else TrainerStatus.INITIALIZING
        self.stage: str | None = None

    @property
    def finished(self) -> bool:
        """The run came to its end."""
        return self.status == TrainerStatus.FINISHED

    @property
    def stopped(self) -> bool:
        """The run is over, one way or the other."""
        return self.status in (TrainerStatus.FINISHED, TrainerStatus.INTERRUPTED)


class Phase:
    """What is done where a checkpoint may be written, in the order of a batch's life."""

    BETWEEN = "between"
    BATCH_DONE = "batch_done"
    VALIDATED = "validated"
    BATCH_SKIPPED = "batch_skipped"
    EPOCH_DONE = "epoch_done"


@dataclass
class FitProgress:
    """Counters of one fit, in the units that users see.

    Attributes:
        epoch: epochs completed; the epoch being trained, counted from 0.
        batch: batches of the current epoch that are wholly done.
        batches: batches done in all epochs together.
        batches_that_stepped: batches that ended in an optimizer step, the x axis of loggers.
        global_step: optimizer steps taken, all optimizers together.
        phase: what of the last batch or the epoch is done; a resumed run does the rest.
        eval_batches: evaluation batches so far, by entry point and loader: the x axis of
            their step values.
    """

    epoch: int = 0
    batch: int = 0
    batches: int = 0
    batches_that_stepped: int = 0
    global_step: int = 0
    phase: str = Phase.BETWEEN
    eval_batches: dict[str, int] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Return the counters as a plain dict."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over counters; keys that a newer or older version wrote are left out."""
        for own in fields(self):
            if own.name in state:
                kind = type(getattr(self, own.name))
                setattr(self, own.name, kind(state[own.name]))
