"""`LocalLogger`: a logger that writes into `<save_dir>/<name>/version_<n>`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaffold_runtime.loggers.logger import Broadcast, Logger, add_prefix


class LocalLogger(Logger):
    """Base of loggers that write into a numbered folder of their own.

    Args:
        save_dir: folder under which all experiments are saved.
        name: folder of the experiment; empty or None writes straight into `save_dir`.
        version: number of the run, or its folder's name; by default the next number.
        prefix: put before each metric's name, with a dash.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: str | None,
        version: int | str | None,
        prefix: str,
    ) -> None:
        self._save_dir, self._name = os.fspath(save_dir), name or ""
        self._version, self._prefix = version, prefix

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self._name

    @property
    def version(self) -> int | str:
        """Number of the run, or its folder's name; decided when it is first asked for."""
        if self._version is None:
            self._version = self._next_version()
        return self._version

    def share_version(self, broadcast: Broadcast) -> None:
        """Let all ranks write to and read from the folder that rank 0 chose."""
        self._version = broadcast(self.version)

    @property
    def save_dir(self) -> str:
        """Folder under which all experiments are saved."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """Folder of the experiment, with all its versions."""
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str:
        """Folder of this run."""
        version = self.version
        folder = version if isinstance(version, str) else f"version_{version}"
        return os.path.join(self.root_dir, folder)

    def _next_version(self) -> int:
        """One more than the highest number there is."""
        folders = Path(self.root_dir).glob("version_*")
        numbers = [folder.name.removeprefix("version_") for folder in folders]
        return max((int(n) for n in numbers if n.isdigit()), default=-1) + 1

    def _with_prefix(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics under their names with the prefix."""
        return add_prefix(metrics, self._prefix)
