"""`ProgressBar`: what every progress bar knows about the run, and nothing about drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scaffold_runtime.callback import Callback
from scaffold_runtime.launch import rank_zero_warn

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer


class ProgressBar(Callback):
    """Base of progress bars; draws nothing itself.

    A subclass overrides the hooks it needs, `disable` and `enable`; `super().setup` and
    `super().__init__` must run.

    Attributes:
        sanity_check_description: words for the sanity check, and so for each stage.
    """

    after_module: ClassVar[bool] = True  # to show what the module logs as an epoch ends
    sanity_check_description = "Sanity Checking"
    train_description = "Training"
    validation_description = "Validation"
    test_description = "Testing"
    predict_description = "Predicting"

    def __init__(self) -> None:
        self._trainer: Trainer | None = None
        self._current_eval_dataloader_idx: int | None = None

    @property
    def trainer(self) -> Trainer:
        """The trainer of the run.

        Raises:
            TypeError: no run has started.
        """
        if self._trainer is None:
            raise TypeError(f"{type(self).__name__} knows its trainer from setup on.")
        return self._trainer

    @property
    def total_train_batches(self) -> float:
        """Number of training batches in this epoch; infinite where unknown."""
        trainer = self.trainer
        if trainer.max_epochs == -1 and trainer.max_steps > 0:
            left = trainer.max_steps - trainer.global_step
            return min(trainer.num_training_batches, left)
        return trainer.num_training_batches

    @property
    def total_val_batches(self) -> float:
        """Number of validation batches of all loaders, 0 in an epoch without validation."""
        every = self.trainer.check_val_every_n_epoch or 1
        due = (self.trainer.current_epoch + 1) % every == 0
        return sum(self.trainer.num_val_batches) if due else 0

    @property
    def total_val_batches_current_dataloader(self) -> float:
        """Number of validation batches of the loader at work."""
        counts = self.trainer.num_val_batches
        if self.trainer.sanity_checking:
            counts = self.trainer.num_sanity_val_batches
        return counts[self._current_eval_dataloader_idx or 0]

    @property
    def total_test_batches_current_dataloader(self) -> float:
        """Number of test batches of the loader at work."""
        return self.trainer.num_test_batches[self._current_eval_dataloader_idx or 0]

    @property
    def total_predict_batches_current_dataloader(self) -> float:
        """Number of predict batches of the loader at work."""
        return self.trainer.num_predict_batches[self._current_eval_dataloader_idx or 0]

    def has_dataloader_changed(self, dataloader_idx: int) -> bool:
        """Note the loader at work; whether it is another one than before."""
        former = self._current_eval_dataloader_idx
        self._current_eval_dataloader_idx = dataloader_idx
        return former != dataloader_idx

    def reset_dataloader_idx_tracker(self) -> None:
        """Forget which loader was at work."""
        self._current_eval_dataloader_idx = None

    def disable(self) -> None:
        """Show nothing from now on."""
        raise NotImplementedError

    def enable(self) -> None:
        """Show progress again."""
        raise NotImplementedError

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print as the built-in does, without breaking the bar."""
        print(*args, **kwargs)

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Take the trainer; only rank 0 shows progress."""
        self._trainer = trainer
        if not trainer.is_global_zero:
            self.disable()

    def get_metrics(self, trainer: Trainer, pl_module: Module) -> dict[str, Any]:
        """Return the values to show: the logger's version and what `prog_bar=True` logged.

        Override it to show others; it runs only when the bar is drawn.
        """
        metrics = trainer.progress_bar_metrics
        versions = list(dict.fromkeys(logger.version for logger in trainer.loggers))
        version = versions[0] if len(versions) == 1 else "_".join(map(str, versions))
        if version in (None, ""):
            return dict(metrics)
        if "v_num" in metrics:
            rank_zero_warn(
                "The progress bar shows the logger's version as v_num, and so is a"
                " logged metric called: the metric is shown; give it another name."
            )
        short = version[-4:] if isinstance(version, str) else version
        return {"v_num": short, **metrics}
