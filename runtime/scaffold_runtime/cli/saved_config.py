"""`SaveConfigCallback`: the whole config of a run, in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import MisconfigurationError, UserError
from scaffold_runtime.run_folder import write_whole
from scaffold_runtime.secret import mask

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from scaffold_runtime.cli.parser import ArgumentParser
    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer


class RunFolderError(UserError, RuntimeError):
    """A run's folder that holds another run already."""


class SaveConfigCallback(Callback):
    """Write the config that a run has into its folder, where `--config` takes it back.

    Args:
        parser: the parser that read the config.
        config: the config.
        config_filename: name of the file.
        overwrite: replace the file of an earlier run.
        multifile: not supported: the config is one file.
        save_to_log_dir: write the file; False leaves it to an overridden `save_config`.

    Raises:
        MisconfigurationError: several files are asked for.
        RunFolderError: the folder already holds a config, which may not be lost.
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
        if multifile:
            raise MisconfigurationError(
                "SaveConfigCallback(multifile=True) is not supported: the config is saved"
                " whole, in one file; leave it out."
            )
        self.parser, self.config = parser, config
        self.config_filename, self.overwrite = config_filename, overwrite
        self.save_to_log_dir = save_to_log_dir
        self.already_saved = False

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Write the file, once and on rank 0."""
        if self.already_saved:
            return
        log_dir = trainer.log_dir
        if self.save_to_log_dir and log_dir is not None:
            self._write(trainer, Path(log_dir, self.config_filename))
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, stage)
        self.already_saved = True

    def _write(self, trainer: Trainer, path: Path) -> None:
        """Put the file into the run's folder whole, or leave the one that is there."""
        if trainer.engine.broadcast(path.is_file() and not self.overwrite):
            raise RunFolderError(
                f"{path} is there already, from an earlier run: choose another folder or"
                " version for the logger, or delete it."
            )
        if trainer.is_global_zero:
            write_whole(path, self.config_text())

    def config_text(self) -> str:
        """The config as YAML, with secrets masked."""
        # By way of JSON: PyYAML writes floats that every reader of YAML takes for floats.
        text = self.parser.dump(self.config, format="json", skip_unset=False)
        values = json.loads(text)
        return yaml.safe_dump(mask(values), sort_keys=False, allow_unicode=True)

    def save_config(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Save the config elsewhere too; override it. Called once, on rank 0."""
