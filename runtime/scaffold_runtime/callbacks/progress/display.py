"""Plain lines now and then, where there is no terminal to draw in."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from time import monotonic
from typing import ClassVar

from scaffold_runtime.callbacks.progress.layout import GAP, Task, arrange


class LineDisplay:
    """Prints a plain line now and then, for logs.

    Attributes:
        interval: seconds between two lines of tasks at work.
    """

    interval = 5.0
    first_after: ClassVar[float] = 1.0  # shorter work needs only its last line
    min_gap: ClassVar[float] = 0.5  # short epochs would flood the log

    def __init__(self) -> None:
        self._finished_at = -math.inf
        self._next_line = monotonic() + self.first_after
        self._pending = ""

    def draw(self, tasks: Sequence[Task]) -> None:
        """Print a line if it is time: the outer task's, with what goes on within it."""
        if monotonic() >= self._next_line:
            within = (f"{task.description} {task.count()}" for task in tasks[1:])
            self._print(GAP.join((_line(tasks[0]), *within)))

    def finish(self, task: Task, leave: bool) -> None:
        """Print the task's line; where such lines follow too soon, only the last."""
        self._pending = _line(task)
        if monotonic() - self._finished_at >= self.min_gap:
            self.close()

    def close(self) -> None:
        """Print the last line that was kept back."""
        if self._pending:
            self._print(self._pending)
            self._finished_at = monotonic()

    def _print(self, line: str) -> None:
        print(line, flush=True)
        self._pending, self._next_line = "", monotonic() + self.interval


def _line(task: Task) -> str:
    """A task's progress as one line of any length."""
    return arrange(task, width=sys.maxsize).first_line("")
