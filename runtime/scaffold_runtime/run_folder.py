"""A run's folder: its lock, and text files that stand whole or not at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import IO

from scaffold_runtime.errors import MisconfigurationError

NAME = ".run.lock"


class RunLock:
    """Holds a folder for this process until `release`, or until the process ends.

    The system holds the lock, so a crashed run leaves none behind; its file says who has
    it. Where the system has no such locks (Windows) nothing is held.
    """

    def __init__(self) -> None:
        self._file: IO[str] | None = None

    def acquire(self, folder: str | None) -> None:
        """Take the folder, if there is one and it is not taken yet.

        Raises:
            MisconfigurationError: another run has it.
        """
        if self._file is not None or folder is None or not os.path.isdir(folder):
            return
        try:
            import fcntl
        except ImportError:
            return
        file = open(Path(folder, NAME), "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise MisconfigurationError(
                f"{folder} belongs to a run that is going on ({owner}): wait for its end,"
                " or use another folder (dirpath, default_root_dir)."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the folder back."""
        if self._file is not None:
            Path(self._file.name).unlink(missing_ok=True)
            self._file.close()
            self._file = None


def write_whole(path: Path, text: str) -> None:
    """Put a text file in place whole, or leave the one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
