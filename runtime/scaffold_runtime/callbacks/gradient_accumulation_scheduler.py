"""`GradientAccumulationScheduler`: accumulate over more batches from some epoch on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import WrongTypeError
from scaffold_runtime.refusal import refuse_if, refuse_unless, refuse_unless_count

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer


class GradientAccumulationScheduler(Callback):
    """Change `accumulate_grad_batches` at set epochs.

    Args:
        scheduling: number of batches by the epoch, from 0, from which it holds; 1 before
            the first.

    Raises:
        MisconfigurationError: an epoch or a number that cannot be; when training starts:
            manual optimization, or a Trainer that accumulates by itself.
    """

    def __init__(self, scheduling: dict[int, int]) -> None:
        if not isinstance(scheduling, dict) or not scheduling:
            raise WrongTypeError(
                "GradientAccumulationScheduler needs a schedule such as {0: 1, 4: 2}."
            )
        for epoch, batches in scheduling.items():
            refuse_unless(self, int, "a whole number", epoch=epoch, batches=batches)
            refuse_unless_count(self, 0, epoch=epoch)
            refuse_unless_count(self, 1, batches=batches)
        self.scheduling = {0: 1, **scheduling}
        self.epochs = sorted(self.scheduling)
        self._sets = False

    def going_to_accumulate_grad_batches(self) -> bool:
        """Whether any epoch accumulates."""
        return any(factor > 1 for factor in self.scheduling.values())

    def get_accumulate_grad_batches(self, epoch: int) -> int:
        """Number of batches that an epoch accumulates."""
        return self.scheduling[max(start for start in self.epochs if start <= epoch)]

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Refuse what cannot work together; set the number that a module may ask for."""
        if stage != "fit":
            return
        manual = not pl_module.automatic_optimization
        refuse_if(self, manual, "accumulate in training_step, in manual optimization")
        both = trainer.accumulate_grad_batches != 1
        refuse_if(self, both, "leave accumulate_grad_batches of the Trainer out")
        self._sets = True
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Set the number for this epoch."""
        epoch = trainer.current_epoch
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(epoch)

    on_train_start = on_train_epoch_start  # an epoch that is resumed has begun

    def teardown(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Leave the trainer as it was; a fit that trains nothing has no other end."""
        if self._sets:
            trainer.accumulate_grad_batches, self._sets = 1, False

    on_exception = teardown  # type: ignore[assignment]
