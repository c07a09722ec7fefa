"""Requests to stop: a signal sets a flag, and the loop ends after a whole step."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from scaffold_runtime.launch import hasten_exit, read_place

NAMES = ("SIGTERM", "SIGINT", "SIGUSR1")
SIGNALS = [number for number in signal.Signals if number.name in NAMES]
# A launcher passes on the signal that its whole process group has got already.
ECHO_SECONDS = 2.0


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
        """What a shell reports: 130 for SIGINT, 143 for the others."""
        return 130 if self.signal_number == signal.SIGINT else 143


class StopSignals:
    """Inside, SIGTERM, SIGINT and SIGUSR1 set `received`; a second one ends at once.

    Handlers can only be set in the main thread; elsewhere signals keep their meaning. A
    worker that stops ignores SIGTERM from then on: its launcher sends one when the first
    of its workers has ended.

    Attributes:
        received: number of the first signal, 0 before.
    """

    def __init__(self) -> None:
        self.received = 0
        self._received_at = 0.0
        self._launched = read_place().launched
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self.received = 0
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before and self.received and isinstance(error, SystemExit):
            hasten_exit()
            if self._launched:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._received_at = number, time.monotonic()
            return
        if self._launched and time.monotonic() - self._received_at < ECHO_SECONDS:
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
