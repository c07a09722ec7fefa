"""`TQDMProgressBar`: plain progress, without any package."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scaffold_runtime.callbacks.progress.display import (
    Display,
    LineDisplay,
    TerminalDisplay,
)
from scaffold_runtime.callbacks.progress.timed_progress import TimedProgressBar

if TYPE_CHECKING:
    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer


class TQDMProgressBar(TimedProgressBar):
    """One line that moves in a terminal; plain lines every few seconds elsewhere.

    It stands in for Lightning's bar of this name and needs no tqdm.

    Args:
        refresh_rate: draw at most every so many training batches; 0 disables the bar.
        leave: keep each epoch's finished bar to be seen.
    """

    def __init__(self, refresh_rate: int = 1, leave: bool = False) -> None:
        super().__init__(refresh_rate, leave)

    def _open_display(self) -> Display:
        return TerminalDisplay() if sys.stdout.isatty() else LineDisplay()

    def _draw(self, trainer: Trainer, pl_module: Module, completed: int) -> None:
        if completed % self._refresh_rate == 0:
            super()._draw(trainer, pl_module, completed)
