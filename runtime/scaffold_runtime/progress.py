"""Where a fit stands: plain counters that a checkpoint can carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


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
        eval_batches: evaluation batches so far, the x axis of their step values.
    """

    epoch: int = 0
    batch: int = 0
    batches: int = 0
    batches_that_stepped: int = 0
    global_step: int = 0
    phase: str = Phase.BETWEEN
    eval_batches: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the counters as a plain dict."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over counters; keys that a newer or older version wrote are left out."""
        for field in fields(self):
            if field.name in state:
                setattr(
                    self, field.name, type(getattr(self, field.name))(state[field.name])
                )
