"""`LocalLogger`: a logger that writes into `<save_dir>/<name>/version_<n>`."""

from __future__ import annotations

import os
from pathlib import Path

from scaffold_runtime.loggers.experiment import ExperimentLogger
from scaffold_runtime.loggers.logger import Method

Folder = str | Path


class LocalLogger(ExperimentLogger):
    """Base of loggers that write into a numbered folder of their own.

    Args:
        save_dir: folder under which all experiments are saved.
        name: folder of the experiment; empty or None writes straight into `save_dir`.
        version: number of the run, or its folder's name; by default the next number.
        prefix: put before each metric's name, with a dash.
    """

    def __init__(
        self, save_dir: Folder, name: str | None, version: int | str | None, prefix: str
    ) -> None:
        super().__init__(prefix)
        self._save_dir, self._name = os.fspath(save_dir), name or ""
        self._version = version

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self._name

    @property
    def version(self) -> int | str:
        """Number of the run, or its folder's name; by default one more than there are."""
        if self._version is None:
            folders = Path(self.root_dir).glob("version_*")
            numbers = [f.name.removeprefix("version_") for f in folders if f.is_dir()]
            taken = [int(number) for number in numbers if number.isdigit()]
            self._version = max(taken, default=-1) + 1
        return self._version

    def share_version(self, broadcast: Method) -> None:
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
