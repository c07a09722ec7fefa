"""`UploadingLogger`: a logger that keeps the files of ModelCheckpoints as well."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Any

from scaffold_runtime.loggers.experiment import ExperimentLogger

SETTINGS = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only")


class UploadingLogger(ExperimentLogger):
    """Base of loggers that upload checkpoints.

    Args:
        prefix: put before each metric's name, with a dash.
        log_model: True uploads at the end of the run, `"all"` as files are written.
    """

    def __init__(self, prefix: str, log_model: str | bool) -> None:
        super().__init__(prefix)
        self._log_model = log_model
        self._uploaded: dict[str, float] = {}
        self._postponed: dict[int, Any] = {}

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Upload what has just been written, and what has not been yet at the end."""
        if not self._log_model:
            return
        # A file that is still being written is there at the end.
        self._postponed[id(checkpoint_callback)] = checkpoint_callback
        if self._log_model == "all" or checkpoint_callback.save_top_k == -1:
            self._upload_new(checkpoint_callback)

    def _upload_postponed(self) -> None:
        for checkpoint_callback in self._postponed.values():
            self._upload_new(checkpoint_callback)

    def _upload_new(self, callback: Any) -> None:
        """Upload files written since they were last looked at, oldest first."""
        best = callback.best_model_path
        settings = {name: getattr(callback, name) for name in SETTINGS}
        scores = {
            best: callback.best_model_score,
            callback.last_model_path: callback.current_score,
            **callback.best_k_models,
        }
        written = {p: os.path.getmtime(p) for p in scores if os.path.isfile(p)}
        for path in sorted(written, key=written.__getitem__):
            if self._uploaded.get(path) != written[path]:
                score = None if scores[path] is None else float(scores[path])
                metadata = {
                    "score": score,
                    "original_filename": os.path.basename(path),
                    type(callback).__name__: settings,
                }
                aliases = ["latest", "best"] if path == best else ["latest"]
                self._upload(path, metadata, aliases)
        self._uploaded.update(written)

    @abstractmethod
    def _upload(self, path: str, metadata: dict[str, Any], aliases: list[str]) -> None:
        """Upload a file."""
