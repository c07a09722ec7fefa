"""`SaveConfigCallback`: the whole config of a run, in the run's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import MisconfigurationError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from scaffold_runtime.cli.parser import ArgumentParser
    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer


class SaveConfigCallback(Callback):
    """Write the config that a run has into its folder, where `--config` takes it back.

    Args:
        parser: the parser that read the config.
        config: the config.
        config_filename: name of the file.
        overwrite: replace the file of an earlier run.
        multifile: write several files where the config was read from several.
        save_to_log_dir: write the file; False leaves it to an overridden `save_config`.

    Raises:
        MisconfigurationError: the folder already holds a config and may not lose it.
    """

    def __init__(
        self,
        parser: ArgumentParser,
        config: Namespace,
        config_filename: str = "config.yaml",
        overwrite: bool = False,
        multifile: bool = False,
        save_to_log_dir: bool = True,
    ) -> None:
        self.parser = parser
        self.config = config
        self.config_filename = config_filename
        self.overwrite = overwrite
        self.multifile = multifile
        self.save_to_log_dir = save_to_log_dir
        self.already_saved = False

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Write the file, once and on rank 0."""
        if self.already_saved:
            return
        if self.save_to_log_dir:
            self._write(trainer)
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, stage)
        self.already_saved = True

    def _write(self, trainer: Trainer) -> None:
        log_dir = trainer.log_dir
        assert log_dir is not None
        path = Path(log_dir, self.config_filename)
        in_the_way = not self.overwrite and path.is_file()
        if trainer.engine.broadcast(in_the_way):
            raise MisconfigurationError(
                f"{path} is there already, from an earlier run: choose another folder or"
                " version for the logger, or delete it."
            )
        if trainer.is_global_zero:
            os.makedirs(log_dir, exist_ok=True)
            self.parser.save(
                self.config, path, overwrite=True, multifile=self.multifile
            )

    def save_config(self, trainer: Trainer, pl_module: Module, stage: str) -> Any:
        """Save the config elsewhere too; override it. Called once, on rank 0."""
