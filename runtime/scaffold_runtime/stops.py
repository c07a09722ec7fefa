"""Requests to stop: a signal sets a flag, and the loop ends after a whole step."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")


class RunStopped(BaseException):
    """A run that ends because it was asked to, with everything saved.

    Attributes:
        signal_number: the signal that asked.
    """

    def __init__(self, signal_number: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"The run was stopped by {name} after a whole step.")
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """What a shell reports for the signal: 143 for SIGTERM, 130 for SIGINT."""
        return 128 + self.signal_number


class StopSignals:
    """Inside, SIGTERM, SIGINT and SIGUSR1 set `received`; a second one ends at once.

    Handlers can only be set in the main thread; elsewhere signals keep their meaning.

    Attributes:
        received: number of the first signal, 0 before.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self.received = 0
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received = number
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
