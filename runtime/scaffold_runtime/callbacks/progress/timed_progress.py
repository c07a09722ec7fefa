"""`TimedProgressBar`: when to draw, by the clock, for bars that draw on a `Display`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from torch import Tensor

from scaffold_runtime.callbacks.progress.display import Display
from scaffold_runtime.callbacks.progress.layout import Task
from scaffold_runtime.callbacks.progress.progress_bar import ProgressBar

if TYPE_CHECKING:
    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer


class TimedProgressBar(ProgressBar):
    """Draws at most every so many seconds; between two draws a step costs one call.

    Metrics are fetched, which waits for the device, only when they are drawn.

    Args:
        refresh_rate: 0 disables the bar.
        leave: keep each epoch's finished bar to be seen.
    """

    def __init__(self, refresh_rate: int, leave: bool) -> None:
        super().__init__()
        self._refresh_rate = refresh_rate
        self._leave = leave
        self._enabled = True
        self._display: Display | None = None
        self._tasks: list[Task] = []
        self._completed = 0
        self._next_draw = 0.0

    def _open_display(self) -> Display:
        """What to draw on."""
        raise NotImplementedError

    @property
    def refresh_rate(self) -> int:
        """How often to draw."""
        return self._refresh_rate

    @property
    def is_enabled(self) -> bool:
        """Whether anything is shown."""
        return self._enabled and self._refresh_rate > 0

    @property
    def is_disabled(self) -> bool:
        """Whether nothing is shown."""
        return not self.is_enabled

    def disable(self) -> None:
        """Show nothing from now on."""
        self._enabled = False
        self._next_draw = math.inf

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True
        self._next_draw = 0.0

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print as the built-in does, above the bar."""
        if self._display is None:
            print(*args, **kwargs)
        else:
            self._display.print(*args, **kwargs)

    def _begin(self, description: str, total: float) -> None:
        """Show a new task; the one before waits."""
        if self.is_enabled:
            self._display = self._display or self._open_display()
        if self._tasks:
            self._tasks[-1].advance(self._completed, monotonic())
        self._tasks.append(Task(description, total))
        self._next_draw = 0.0 if self.is_enabled else math.inf

    def _draw(self, trainer: Trainer, pl_module: Module, completed: int) -> None:
        """Fetch the metrics and draw; plan the next time."""
        assert self._display is not None
        task = self._tasks[-1]
        task.advance(completed, monotonic())
        task.metrics = _as_numbers(self.get_metrics(trainer, pl_module))
        self._display.draw(self._tasks)
        self._next_draw = monotonic() + self._display.interval

    def _finish(self, trainer: Trainer, pl_module: Module, leave: bool) -> None:
        """End the task at work; one within another gives way to it."""
        task = self._tasks.pop()
        self._next_draw = 0.0 if self.is_enabled else math.inf
        if self._tasks:
            self._tasks[-1].resume(monotonic())
        elif self._display is not None and not trainer.sanity_checking:
            task.advance(self._completed, monotonic())
            task.metrics = _as_numbers(self.get_metrics(trainer, pl_module))
            self._display.finish(task, leave)

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
        self._display = None
        self._tasks.clear()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin an epoch."""
        self._completed = 0
        epoch, epochs = str(trainer.current_epoch), trainer.max_epochs or -1
        if epochs > 0:
            epoch += f"/{epochs - 1}"
        self._begin(f"Epoch {epoch}", self.total_train_batches)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Draw if it is time."""
        self._completed = batch_idx + 1
        if monotonic() >= self._next_draw:
            self._draw(trainer, pl_module, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Show the epoch with its metrics."""
        self._finish(trainer, pl_module, leave=self._leave)

    def on_validation_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a validation, under the epoch it belongs to."""
        checking = trainer.sanity_checking
        batches = (
            trainer.num_sanity_val_batches if checking else trainer.num_val_batches
        )
        description = (
            self.sanity_check_description if checking else self.validation_description
        )
        self._begin_evaluation(description, batches)

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """End a validation; the epoch's metrics now have its results."""
        self._end_evaluation(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a test."""
        self._begin_evaluation(self.test_description, trainer.num_test_batches)

    def on_test_end(self, trainer: Trainer, pl_module: Module) -> None:
        """End a test."""
        self._end_evaluation(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a prediction."""
        self._begin_evaluation(self.predict_description, trainer.num_predict_batches)

    def on_predict_end(self, trainer: Trainer, pl_module: Module) -> None:
        """End a prediction."""
        self._end_evaluation(trainer, pl_module)

    def _begin_evaluation(self, description: str, batches: list[int | float]) -> None:
        self._batches_before = [0.0, *itertools.accumulate(batches)]
        self._begin(description, self._batches_before[-1])
        self._train_batches, self._completed = self._completed, 0

    def _end_evaluation(self, trainer: Trainer, pl_module: Module) -> None:
        self._finish(trainer, pl_module, leave=True)
        self._completed = self._train_batches

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw if it is time."""
        self._completed = int(self._batches_before[dataloader_idx]) + batch_idx + 1
        if monotonic() >= self._next_draw:
            self._draw(trainer, pl_module, self._completed)

    on_test_batch_end = on_validation_batch_end
    on_predict_batch_end = on_validation_batch_end

    def on_exception(
        self, trainer: Trainer, pl_module: Module, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._close()

    def teardown(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Leave the last state to be seen."""
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        """Without the display, which holds the terminal."""
        return {**self.__dict__, "_display": None, "_tasks": []}


def _as_numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics with tensors as Python numbers."""
    return {
        name: value.item() if isinstance(value, Tensor) else value
        for name, value in metrics.items()
    }
