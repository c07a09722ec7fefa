"""`ModelCheckpoint`: which checkpoints are written, under which name, and which stay."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from scaffold_runtime.callbacks.checkpoint import Checkpoint
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer

PLACEHOLDER = re.compile(r"\{([^{}:]*)(:[^{}]*)?\}")


class ModelCheckpoint(Checkpoint):
    """Write checkpoints at set times and keep the best `save_top_k` of them.

    By default one checkpoint is written each epoch and only the newest is kept.

    Args:
        dirpath: the folder; by default `checkpoints` in the first logger's run folder.
        filename: name with `{epoch}`, `{step}` and metrics in braces, each with an
            optional format: `"{epoch}-{val_loss:.2f}"` becomes `epoch=3-val_loss=0.12`.
        monitor: the logged metric that ranks checkpoints; None keeps the newest.
        verbose: say what was saved and why.
        save_last: also write `last.ckpt`; `"link"` makes it a link to the newest.
        save_top_k: how many to keep; -1 keeps all, 0 writes none.
        save_on_exception: write one when the run ends by an exception.
        save_weights_only: leave out optimizers, schedulers and callbacks.
        mode: `"min"` or `"max"`, which values of `monitor` are better.
        auto_insert_metric_name: write `name=` before each value in the file's name.
        every_n_train_steps: write after so many optimizer steps.
        train_time_interval: write after so much time.
        every_n_epochs: write after so many epochs; the three exclude one another.
        save_on_train_epoch_end: write at the end of the training epoch rather than of
            validation; by default whichever is the last of the two.
        enable_version_counter: where the name is taken, append `-v1`, `-v2`, ...

    Attributes:
        best_model_path: file with the best value; the newest without `monitor`.
        best_model_score: its value of `monitor`.
        best_k_models: value of `monitor` by file, for the files that are kept.
        kth_best_model_path: the worst of the files that are kept, next to be deleted.
        kth_value: its value of `monitor`.
        current_score: value of `monitor` at the newest save.
        last_model_path: the newest `last.ckpt`.

    Raises:
        MisconfigurationError: the arguments contradict one another.
    """

    CHECKPOINT_JOIN_CHAR: ClassVar[str] = "-"
    CHECKPOINT_EQUALS_CHAR: ClassVar[str] = "="
    CHECKPOINT_NAME_LAST: ClassVar[str] = "last"
    FILE_EXTENSION: ClassVar[str] = ".ckpt"
    STARTING_VERSION: ClassVar[int] = 1

    def __init__(
        self,
        dirpath: str | os.PathLike[str] | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: bool | Literal["link"] | None = None,
        save_top_k: int = 1,
        save_on_exception: bool = False,
        save_weights_only: bool = False,
        mode: str = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True,
    ) -> None:
        self.dirpath = _absolute(dirpath)
        self.filename = filename
        self.monitor = monitor
        self.verbose = verbose
        self.save_last = save_last
        self.save_top_k = save_top_k
        self.save_on_exception = save_on_exception
        self.save_weights_only = save_weights_only
        self.mode = mode
        self.auto_insert_metric_name = auto_insert_metric_name
        self._set_triggers(every_n_train_steps, train_time_interval, every_n_epochs)
        self._save_on_train_epoch_end = save_on_train_epoch_end
        self._enable_version_counter = enable_version_counter
        self._reset_record()
        self._refuse_contradictions()

    def _set_triggers(
        self,
        every_n_train_steps: int | None,
        train_time_interval: timedelta | None,
        every_n_epochs: int | None,
    ) -> None:
        """Choose when to save: each epoch where nothing was asked for."""
        asked = (every_n_train_steps, train_time_interval, every_n_epochs)
        by_default = all(trigger is None for trigger in asked)
        self._every_n_epochs = 1 if by_default else every_n_epochs or 0
        self._every_n_train_steps = every_n_train_steps or 0
        self._train_time_interval = train_time_interval
        self._saves_between_batches = (
            self._every_n_train_steps > 0 or train_time_interval is not None
        )

    def _reset_record(self) -> None:
        """Start with no checkpoint written."""
        worst = math.inf if self.mode == "min" else -math.inf
        self.kth_value: Tensor = torch.tensor(worst)
        self.kth_best_model_path = ""
        self.best_k_models: dict[str, Tensor] = {}
        self.best_model_path = ""
        self.best_model_score: Tensor | None = None
        self.current_score: Tensor | None = None
        self.last_model_path = ""
        self._last_checkpoint_saved = ""
        self._last_global_step_saved = 0
        self._last_time_saved = time.monotonic()
        self._waits_for_validation = False
        self._validated = False

    def _refuse_contradictions(self) -> None:
        """Raise where the arguments cannot mean anything."""
        counts = {
            "every_n_train_steps": self._every_n_train_steps,
            "every_n_epochs": self._every_n_epochs,
        }
        for name, count in counts.items():
            if count < 0:
                raise MisconfigurationError(
                    f"ModelCheckpoint({name}={count}): use 1 or more, or 0 for never."
                )
        timed = self._train_time_interval is not None
        if all(counts.values()) or (any(counts.values()) and timed):
            raise MisconfigurationError(
                "ModelCheckpoint takes one of every_n_train_steps, every_n_epochs and"
                " train_time_interval: use one callback for each."
            )
        if self.mode not in ("min", "max"):
            raise MisconfigurationError(
                f"ModelCheckpoint(mode={self.mode!r}): use 'min' or 'max'."
            )
        if self.save_top_k < -1:
            raise MisconfigurationError(
                f"ModelCheckpoint(save_top_k={self.save_top_k}): use -1 for all, 0 for"
                " none, or how many to keep."
            )
        if self.monitor is None and self.save_top_k > 1:
            raise MisconfigurationError(
                f"ModelCheckpoint(save_top_k={self.save_top_k}) needs monitor=, the name"
                " of the metric that ranks checkpoints."
            )

    @property
    def state_key(self) -> str:
        """Class name with what makes two of these callbacks differ."""
        return self._generate_state_key(
            monitor=self.monitor,
            mode=self.mode,
            every_n_train_steps=self._every_n_train_steps,
            every_n_epochs=self._every_n_epochs,
            train_time_interval=self._train_time_interval,
        )

    @property
    def every_n_epochs(self) -> int:
        """Epochs between two saves, 0 where epochs do not matter."""
        return self._every_n_epochs

    def state_dict(self) -> dict[str, Any]:
        """The record of what was saved."""
        return {
            "monitor": self.monitor,
            "best_model_score": self.best_model_score,
            "best_model_path": self.best_model_path,
            "current_score": self.current_score,
            "dirpath": self.dirpath,
            "best_k_models": dict(self.best_k_models),
            "kth_best_model_path": self.kth_best_model_path,
            "kth_value": self.kth_value,
            "last_model_path": self.last_model_path,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a record; in another folder only the best path is kept."""
        self.best_model_path = state_dict["best_model_path"]
        former_dirpath = state_dict.get("dirpath", self.dirpath)
        if former_dirpath != self.dirpath:
            rank_zero_warn(
                f"Checkpoints were in {former_dirpath!r} and now go to"
                f" {self.dirpath!r}: of the former ones only best_model_path is kept."
            )
            return
        self.best_model_score = state_dict["best_model_score"]
        for name in ("kth_best_model_path", "kth_value", "last_model_path"):
            setattr(self, name, state_dict.get(name, getattr(self, name)))
        self.best_k_models = dict(state_dict.get("best_k_models", self.best_k_models))

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Decide the folder, on rank 0 for all."""
        self.dirpath = trainer.engine.broadcast(self._resolve_dirpath(trainer))
        if trainer.is_global_zero and stage == "fit" and self.save_top_k != 0:
            if os.path.isdir(self.dirpath) and os.listdir(self.dirpath):
                rank_zero_warn(
                    f"Checkpoint folder {self.dirpath} exists and is not empty."
                )

    def _resolve_dirpath(self, trainer: Trainer) -> str:
        """The folder: as given, or in the first logger's run folder, or in the root."""
        if self.dirpath is not None:
            return self.dirpath
        if not trainer.loggers:
            return os.path.join(trainer.default_root_dir, "checkpoints")
        logger = trainer.loggers[0]
        version = logger.version
        if not isinstance(version, str):
            version = f"version_{version}"
        root = logger.save_dir or trainer.default_root_dir
        return os.path.join(root, str(logger.name), version, "checkpoints")

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock of `train_time_interval`."""
        self._last_time_saved = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save by steps or time, or let it wait for the validation that follows."""
        if not self._saves_between_batches or not self._is_due(trainer):
            return
        candidates = self._monitor_candidates(trainer)
        if self.monitor is not None and (
            self.monitor not in candidates or trainer.validation_due
        ):
            self._waits_for_validation = True
        elif not self._should_skip_saving(trainer):
            self._save_top_k_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)

    def _is_due(self, trainer: Trainer) -> bool:
        """Whether enough steps or enough time (by rank 0's clock) went by."""
        if self._train_time_interval is None:
            return bool(trainer.global_step % self._every_n_train_steps == 0)
        now = time.monotonic()
        elapsed = now - self._last_time_saved
        due: bool = trainer.engine.broadcast(
            elapsed >= self._train_time_interval.total_seconds()
        )
        if due:
            self._last_time_saved = now
        return due

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Save by epochs, where the training epoch's end comes last."""
        if self._should_save_on_train_epoch_end(trainer):
            self._save_by_epoch(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Save what waited for this validation, or by epochs where it comes last."""
        self._validated |= not trainer.sanity_checking
        waited, self._waits_for_validation = self._waits_for_validation, False
        if waited and not self._should_skip_saving(trainer):
            candidates = self._monitor_candidates(trainer)
            self._save_top_k_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)
        elif not self._should_save_on_train_epoch_end(trainer):
            self._save_by_epoch(trainer)

    def _save_by_epoch(self, trainer: Trainer) -> None:
        """Save in every n-th epoch, and `last` after any save of this step."""
        if self._should_skip_saving(trainer):
            return
        candidates = self._monitor_candidates(trainer)
        if (
            self._every_n_epochs
            and (trainer.current_epoch + 1) % self._every_n_epochs == 0
        ):
            self._save_top_k_checkpoint(trainer, candidates)
        saved_now = self._last_global_step_saved == trainer.global_step
        if saved_now or (self.save_last == "link" and self._last_checkpoint_saved):
            self._save_last_checkpoint(trainer, candidates)

    def on_train_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Write `last` where nothing was saved in the whole run."""
        if not self._last_checkpoint_saved and not trainer.fast_dev_run:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_exception(
        self, trainer: Trainer, pl_module: Module, exception: BaseException
    ) -> None:
        """Save what there is, where `save_on_exception` asks for it."""
        if not self.save_on_exception or self._should_skip_saving(trainer):
            return
        candidates = self._monitor_candidates(trainer)
        filepath = self.format_checkpoint_name(candidates)
        self._save_checkpoint(trainer, filepath)
        self._save_last_checkpoint(trainer, candidates)
        rank_zero_info(
            f"Saved {filepath} because the run ended by a {type(exception).__name__}."
        )

    def _should_skip_saving(self, trainer: Trainer) -> bool:
        """No save in a trial run, outside fit, or twice for one step."""
        return (
            bool(trainer.fast_dev_run)
            or trainer.state.fn != "fit"
            or trainer.sanity_checking
            or self._last_global_step_saved == trainer.global_step
        )

    def _should_save_on_train_epoch_end(self, trainer: Trainer) -> bool:
        """Whether the training epoch's end, and not validation, is when epochs save."""
        if self._save_on_train_epoch_end is not None:
            return self._save_on_train_epoch_end
        if trainer.check_val_every_n_epoch != 1:
            return False
        no_validation = sum(trainer.num_val_batches) == 0
        return no_validation or trainer.val_check_interval == 1.0

    def _monitor_candidates(self, trainer: Trainer) -> dict[str, Tensor]:
        """Copies of all metrics on the CPU, with `epoch` and `step` as integers."""
        candidates = {
            name: torch.as_tensor(value).detach().cpu().clone()
            for name, value in trainer.callback_metrics.items()
        }
        for name, count in (
            ("epoch", trainer.current_epoch),
            ("step", trainer.global_step),
        ):
            logged = candidates.get(name)
            candidates[name] = torch.tensor(count) if logged is None else logged.int()
        return candidates

    def _save_top_k_checkpoint(
        self, trainer: Trainer, candidates: dict[str, Tensor]
    ) -> None:
        """Save if it is among the best, and delete the one it replaces."""
        if self.save_top_k == 0:
            return
        if self.monitor is None:
            self._save_newest(trainer, candidates)
            return
        current = candidates.get(self.monitor)
        if current is None:
            self._report_missing_metric(candidates)
        elif self.check_monitor_top_k(trainer, current):
            self._save_among_best(trainer, candidates, current)
        elif self.verbose:
            rank_zero_info(
                f"Epoch {trainer.current_epoch}, step {trainer.global_step}:"
                f" {self.monitor} = {current:.5f} is not among the best"
                f" {self.save_top_k}."
            )

    def _report_missing_metric(self, candidates: dict[str, Tensor]) -> None:
        """Warn while validation may still log the metric, raise once it has not."""
        message = (
            f"ModelCheckpoint(monitor={self.monitor!r}): no such metric was logged, only"
            f" {sorted(candidates)}; add self.log({self.monitor!r}, ...) to the module."
        )
        if self._validated:
            raise MisconfigurationError(message)
        rank_zero_warn(message)

    def check_monitor_top_k(
        self, trainer: Trainer, current: Tensor | None = None
    ) -> bool:
        """Whether a checkpoint of this value would be kept; all ranks agree."""
        if current is None:
            return False
        if self.save_top_k == -1 or len(self.best_k_models) < self.save_top_k:
            return True
        worst = self.best_k_models[self.kth_best_model_path]
        better = current < worst if self.mode == "min" else current > worst
        return bool(trainer.engine.agree(bool(better)))

    def _save_newest(self, trainer: Trainer, candidates: dict[str, Tensor]) -> None:
        """Save without ranking; with `save_top_k=1` the former one goes."""
        filepath = self._free_path(trainer, candidates, self.best_model_path)
        previous, self.best_model_path = self.best_model_path, filepath
        self._save_checkpoint(trainer, filepath)
        if self.save_top_k == 1:
            self._remove_replaced(trainer, previous, filepath)

    def _save_among_best(
        self, trainer: Trainer, candidates: dict[str, Tensor], current: Tensor
    ) -> None:
        """Save, enter it into the record, and delete the one that falls out."""
        replaced = ""
        if len(self.best_k_models) == self.save_top_k:
            replaced = self.kth_best_model_path
            self.best_k_models.pop(replaced)
        if current.isnan():
            current = torch.tensor(math.inf if self.mode == "min" else -math.inf)
        filepath = self._free_path(trainer, candidates, replaced)
        self._record(filepath, current)
        if self.verbose:
            rank_zero_info(
                f"Epoch {trainer.current_epoch}, step {trainer.global_step}:"
                f" {self.monitor} = {current:.5f} (best {self.best_model_score:.5f}),"
                f" saving {filepath}."
            )
        self._save_checkpoint(trainer, filepath)
        self._remove_replaced(trainer, replaced, filepath)

    def _record(self, filepath: str, score: Tensor) -> None:
        """Rank a new file among those that are kept."""
        self.current_score = score
        self.best_k_models[filepath] = score
        best, worst = (min, max) if self.mode == "min" else (max, min)
        rank = self.best_k_models.__getitem__
        if self.save_top_k in (-1, len(self.best_k_models)):
            self.kth_best_model_path = worst(self.best_k_models, key=rank)
            self.kth_value = self.best_k_models[self.kth_best_model_path]
        self.best_model_path = best(self.best_k_models, key=rank)
        self.best_model_score = self.best_k_models[self.best_model_path]

    def _save_last_checkpoint(
        self, trainer: Trainer, candidates: dict[str, Tensor]
    ) -> None:
        """Write or link `last`; the former one goes."""
        if not self.save_last:
            return
        name = self.CHECKPOINT_NAME_LAST
        filepath = self._free_path(trainer, candidates, self.last_model_path, name)
        previous, self.last_model_path = self.last_model_path, filepath
        newest = self._last_checkpoint_saved
        if self.save_last == "link" and newest and self.save_top_k != 0:
            self._link_checkpoint(trainer, newest, filepath)
        else:
            self._save_checkpoint(trainer, filepath)
        self._remove_replaced(trainer, previous, filepath)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Write the file and tell the loggers."""
        trainer.save_checkpoint(filepath, self.save_weights_only)
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = filepath
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.after_save_checkpoint(self)

    @staticmethod
    def _link_checkpoint(trainer: Trainer, filepath: str, linkpath: str) -> None:
        """Make `linkpath` a relative link to the checkpoint, a copy where links fail."""
        if trainer.is_global_zero and filepath != linkpath:
            _delete(linkpath)
            try:
                os.symlink(
                    os.path.relpath(filepath, os.path.dirname(linkpath)), linkpath
                )
            except OSError:  # Windows lets only privileged users make links
                copy = shutil.copytree if os.path.isdir(filepath) else shutil.copy
                copy(filepath, linkpath)
        trainer.engine.barrier("link_checkpoint")

    def _free_path(
        self,
        trainer: Trainer,
        candidates: dict[str, Tensor],
        replaced: str,
        filename: str | None = None,
    ) -> str:
        """A path that no file but the replaced one has, by the version counter."""
        filepath = self.format_checkpoint_name(candidates, filename)
        if not self._enable_version_counter:
            return filepath
        version = self.STARTING_VERSION
        while filepath != replaced and self.file_exists(filepath, trainer):
            filepath = self.format_checkpoint_name(candidates, filename, ver=version)
            version += 1
        return filepath

    def format_checkpoint_name(
        self,
        metrics: dict[str, Tensor],
        filename: str | None = None,
        ver: int | None = None,
        prefix: str | None = None,
    ) -> str:
        """Return the path of a checkpoint with these metrics.

        Args:
            metrics: values for the braces in the name; missing ones count as 0.
            filename: name to fill in instead of the callback's own.
            ver: number for a `-v<ver>` at the end.
            prefix: what to put before the name, with a dash.
        """

        def fill_in(match: re.Match[str]) -> str:
            name, spec = match[1], (match[2] or ":")[1:]
            label = f"{name}{self.CHECKPOINT_EQUALS_CHAR}"
            value = torch.as_tensor(metrics.get(name, 0)).item()
            return (label if self.auto_insert_metric_name else "") + format(value, spec)

        default = "{epoch}" + self.CHECKPOINT_JOIN_CHAR + "{step}"
        name = PLACEHOLDER.sub(fill_in, filename or self.filename or default)
        parts = [prefix, name, None if ver is None else f"v{ver}"]
        name = self.CHECKPOINT_JOIN_CHAR.join(part for part in parts if part)
        return os.path.join(self.dirpath or "", name + self.FILE_EXTENSION)

    def file_exists(self, filepath: str, trainer: Trainer) -> bool:
        """Whether the file exists on rank 0, the same answer on every rank."""
        found = trainer.is_global_zero and os.path.lexists(filepath)
        return bool(trainer.engine.broadcast(found))

    def _remove_replaced(self, trainer: Trainer, previous: str, current: str) -> None:
        """Delete a former checkpoint: only in `dirpath`, never the resumed one."""
        if not previous or previous == current:
            return
        path = Path(previous).absolute()
        resumed = trainer.ckpt_path and Path(trainer.ckpt_path).absolute() == path
        inside = Path(self.dirpath or "").absolute() in path.parents
        if inside and not resumed and trainer.is_global_zero:
            _delete(previous)

    def to_yaml(self, filepath: str | os.PathLike[str] | None = None) -> None:
        """Write `best_k_models` as YAML, by default into `dirpath`."""
        import yaml

        path = Path(filepath or os.path.join(self.dirpath or "", "best_k_models.yaml"))
        scores = {name: score.item() for name, score in self.best_k_models.items()}
        path.write_text(yaml.safe_dump(scores), encoding="utf-8")


def _absolute(dirpath: str | os.PathLike[str] | None) -> str | None:
    """The folder as an absolute path with links followed.

    Raises:
        MisconfigurationError: it is the address of a remote store.
    """
    if not dirpath:
        return None
    if "://" in os.fspath(dirpath):
        raise MisconfigurationError(
            f"ModelCheckpoint(dirpath={os.fspath(dirpath)!r}): only local folders are"
            " supported; mount the remote one, or copy checkpoints afterwards."
        )
    return os.path.realpath(os.path.expanduser(dirpath))


def _delete(path: str) -> None:
    """Delete a file, a link or a folder; nothing where there is none."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
