"""Signs of life of every rank, so that one that fell silent can be named."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from typing import Any

from scaffold_runtime.launch import log

INTERVAL = 1.0


class Heartbeat:
    """A thread that writes the time, this rank's process and its last step to the store.

    Args:
        store: the key-value store of the process group.
        rank: index of this process.
        world_size: number of processes.

    Attributes:
        step: words exchanged with the other ranks; a rank that hangs stays behind.
    """

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        self._store, self._rank, self._world_size = store.clone(), rank, world_size
        self.step = 0
        self._host = socket.gethostname()
        self._beat()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        text = f"{time.monotonic_ns()} {self.step} {os.getpid()} {self._host}"
        self._store.set(f"heartbeat/{self._rank}", text)

    def _run(self) -> None:
        while not self._ends.wait(INTERVAL):
            try:
                self._beat()
            except RuntimeError:  # the store is gone, and the run with it
                return

    def stop(self) -> None:
        """End the thread: Python aborts the process if it ends while one is in the store."""
        self._ends.set()
        self._thread.join(timeout=5.0)

    def report(self) -> None:
        """Name the ranks that are silent or behind; end the silent ones of this machine.

        A stopped process would keep its launcher waiting for its end.
        """
        try:
            before = self._read()
            time.sleep(2.5 * INTERVAL)
            after = self._read()
        except RuntimeError:
            return
        furthest = max(int(beat[1]) for beat in after)
        for rank, (old, beat) in enumerate(zip(before, after, strict=True)):
            _, step, pid, host = beat
            place = f"process {pid} on {host}"
            if old == beat:
                log.error(f"Rank {rank} ({place}) gives no sign of life.")
                if host == self._host:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            elif int(step) < furthest:
                log.error(f"Rank {rank} ({place}) is alive and does not go on.")

    def _read(self) -> list[list[str]]:
        ranks = range(self._world_size)
        return [self._store.get(f"heartbeat/{r}").decode().split() for r in ranks]
