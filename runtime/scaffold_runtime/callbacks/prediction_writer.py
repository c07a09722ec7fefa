"""`BasePredictionWriter`: write predictions as they come, or all at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor
from torch.utils._pytree import tree_map_only

from scaffold_runtime.callback import Callback
from scaffold_runtime.refusal import refuse_unless_one_of

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

Interval = Literal["batch", "epoch", "batch_and_epoch"]


class BasePredictionWriter(Callback):
    """Base of callbacks that write predictions.

    Override `write_on_batch_end`, `write_on_epoch_end`, or both. Each rank writes what it
    predicted: put `trainer.global_rank` into the file's name.

    Args:
        write_interval: `"batch"`, `"epoch"` or `"batch_and_epoch"`.

    Raises:
        MisconfigurationError: an interval that is none of these.
    """

    def __init__(self, write_interval: Interval = "batch") -> None:
        choices = get_args(Interval)
        refuse_unless_one_of(self, *choices, write_interval=write_interval)
        self.interval = write_interval

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        prediction: Any,
        batch_indices: Sequence[int],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write what `predict_step` returned for one batch.

        Args:
            trainer: the trainer.
            pl_module: the module.
            prediction: what `predict_step` returned.
            batch_indices: the samples' positions in the data set, empty where unknown.
            batch: the batch.
            batch_idx: its number.
            dataloader_idx: the number of its loader.
        """
        raise NotImplementedError

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Write all predictions.

        Args:
            trainer: the trainer.
            pl_module: the module.
            predictions: on the CPU, one per batch; for several loaders, lists of them.
            batch_indices: the samples' positions in the data set, by loader and batch.
        """
        raise NotImplementedError

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start with nothing predicted."""
        self._order = [own.batch_indices() or [] for own in trainer.eval_loaders]
        self._predictions: list[list[Any]] = [[] for _ in self._order]

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the batch, or keep it for the end."""
        order = self._order[dataloader_idx]
        indices = order[batch_idx] if order else []
        if self.interval != "epoch":
            place = (batch, batch_idx, dataloader_idx)
            self.write_on_batch_end(trainer, pl_module, outputs, indices, *place)
        if self.interval != "batch":
            on_cpu = tree_map_only(Tensor, Tensor.cpu, outputs)
            self._predictions[dataloader_idx].append(on_cpu)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Write what was kept."""
        if self.interval != "batch":
            found = self._predictions if len(self._order) > 1 else self._predictions[0]
            both = zip(self._order, self._predictions, strict=True)
            indices = [order[: len(predictions)] for order, predictions in both]
            self.write_on_epoch_end(trainer, pl_module, found, indices)
