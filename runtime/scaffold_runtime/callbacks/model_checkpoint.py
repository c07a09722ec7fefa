"""`ModelCheckpoint`: which checkpoints are written, under which name, and which stay."""

from __future__ import annotations

import functools
import itertools
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from scaffold_runtime.callbacks.checkpoint import Checkpoint
from scaffold_runtime.checkpoint import BackgroundWriter
from scaffold_runtime.errors import (
    CheckpointError,
    MisconfigurationError,
    NonFiniteError,
)
from scaffold_runtime.fault import crash_point
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn
from scaffold_runtime.refusal import (
    refuse_if,
    refuse_unless,
    refuse_unless_count,
    refuse_unless_one_of,
)

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

RECORD = (
    *("best_model_path", "best_model_score", "current_score", "best_k_models"),
    *("kth_best_model_path", "kth_value", "last_model_path"),
    # What a resumed run must know to save when the run would have that was stopped.
    *("_last_global_step_saved", "_last_checkpoint_saved", "_owes_last"),
    *("_waits_for_validation", "_validated"),
)
Metrics = dict[str, Tensor]
PLACEHOLDER = re.compile(r"\{([^{}:]+)(:[^{}]*)?\}")


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
        save_async: write in the background; training stands still for a copy in memory
            only, and an error is raised at the next step.

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
        CheckpointError: the first save of a run fails; a later one that fails is a
            warning, and what was saved before stays.
    """

    CHECKPOINT_JOIN_CHAR: ClassVar[str] = "-"
    CHECKPOINT_EQUALS_CHAR: ClassVar[str] = "="
    CHECKPOINT_NAME_LAST: ClassVar[str] = "last"
    FILE_EXTENSION: ClassVar[str] = ".ckpt"
    STARTING_VERSION: ClassVar[int] = 1

    def __init__(
        self,
        dirpath: str | Path | None = None,
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
        save_async: bool = False,
    ) -> None:
        refuse_unless(self, (str, os.PathLike), "a path", dirpath=dirpath)
        refuse_unless(self, str, "text", filename=filename, monitor=monitor)
        remote = "only local folders are supported; copy checkpoints there afterwards"
        refuse_if(self, "://" in str(dirpath), f"dirpath={dirpath!r}: {remote}")
        self.dirpath: str | None = None
        if dirpath is not None:
            self.dirpath = os.path.realpath(os.path.expanduser(dirpath))
        self.filename, self.auto_insert_metric_name = filename, auto_insert_metric_name
        self.monitor, self.mode, self.verbose = monitor, mode, verbose
        self.save_last, self.save_top_k = save_last, save_top_k
        self.save_on_exception = save_on_exception
        self.save_weights_only = save_weights_only
        triggers = (every_n_train_steps, train_time_interval, every_n_epochs)
        by_default = all(trigger is None for trigger in triggers)
        self._every_n_epochs = 1 if by_default else every_n_epochs or 0
        self._every_n_train_steps = every_n_train_steps or 0
        self._train_time_interval = train_time_interval
        self._save_on_train_epoch_end = save_on_train_epoch_end
        self._enable_version_counter = enable_version_counter
        self.save_async = save_async
        self._writer: BackgroundWriter | None = None
        self._worst = torch.tensor(math.inf if mode == "min" else -math.inf)
        self.kth_value, self.kth_best_model_path = self._worst, ""
        self.best_k_models: Metrics = {}
        self.best_model_path = self.last_model_path = self._last_checkpoint_saved = ""
        self.best_model_score: Tensor | None = None
        self.current_score: Tensor | None = None
        self._last_global_step_saved, self._last_time_saved = 0, time.monotonic()
        self._waits_for_validation = self._validated = self._owes_last = False
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        """Raise where the arguments cannot mean anything."""
        steps, epochs = self._every_n_train_steps, self._every_n_epochs
        interval, k = self._train_time_interval, self.save_top_k
        refuse_unless(self, timedelta, "a timedelta", train_time_interval=interval)
        refuse_unless_count(self, 0, every_n_train_steps=steps, every_n_epochs=epochs)
        refuse_unless_count(self, -1, save_top_k=k)
        stray = set("{}") & set(PLACEHOLDER.sub("", self.filename or ""))
        several = (steps > 0) + (epochs > 0) + (interval is not None) > 1
        linked = self.save_async and self.save_last == "link"
        refuse_if(self, stray, f"filename={self.filename!r} has a brace without a name")
        refuse_unless_one_of(self, "min", "max", mode=self.mode)
        refuse_if(self, k > 1 and not self.monitor, f"save_top_k={k} needs monitor=")
        refuse_if(self, linked, "save_async=True cannot link: use save_last=True")
        refuse_if(
            self,
            several,
            "every_n_train_steps, every_n_epochs and train_time_interval exclude one"
            " another: use a callback for each",
        )

    @property
    def state_key(self) -> str:
        """Class name with what makes two of these callbacks differ."""
        triggers = ("every_n_train_steps", "every_n_epochs", "train_time_interval")
        own = {name: getattr(self, f"_{name}") for name in triggers}
        return self._generate_state_key(monitor=self.monitor, mode=self.mode, **own)

    @property
    def every_n_epochs(self) -> int:
        """Epochs between two saves, 0 where epochs do not matter."""
        return self._every_n_epochs

    def state_dict(self) -> dict[str, Any]:
        """The record of what was saved."""
        state = {name: getattr(self, name) for name in ("monitor", "dirpath", *RECORD)}
        return {**state, "best_k_models": dict(self.best_k_models)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a record; in another folder only the best path is kept."""
        former, taken = state_dict.get("dirpath", self.dirpath), {*RECORD}
        if former != self.dirpath:
            taken = {"best_model_path"}
            rank_zero_warn(
                f"Checkpoints were in {former!r} and now go to {self.dirpath!r}: of the"
                " former ones only best_model_path is kept."
            )
        for name in taken & state_dict.keys():
            setattr(self, name, state_dict[name])

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Decide the folder, on rank 0 for all."""
        self.dirpath = trainer.engine.broadcast(self.resolve_dirpath(trainer))
        if self.save_async and stage == "fit":
            self._writer = BackgroundWriter()
        taken = os.path.isdir(self.dirpath) and os.listdir(self.dirpath)
        if taken and stage == "fit" and self.save_top_k != 0:
            rank_zero_warn(f"Checkpoint folder {self.dirpath} exists and is not empty.")

    def resolve_dirpath(self, trainer: Trainer) -> str:
        """The folder: as given, or in the first logger's run folder, or in the root."""
        if self.dirpath is not None:
            return self.dirpath
        parts = [trainer.default_root_dir]
        for logger in trainer.loggers[:1]:
            version = logger.version
            folder = version if isinstance(version, str) else f"version_{version}"
            parts = [logger.save_dir or parts[0], str(logger.name), folder]
        return os.path.join(*parts, "checkpoints")

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start the clock of `train_time_interval`."""
        self._last_time_saved = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """Save by steps or time, or let it wait for the validation that follows."""
        if self._writer is not None:
            self._writer.check()
        every = self._every_n_train_steps
        by_steps = every and trainer.global_step % every == 0
        if not by_steps and not self._time_is_up(trainer):
            return
        candidates = self._monitor_candidates(trainer)
        ready = self.monitor in candidates and not trainer.validation_due
        if self.monitor is not None and not ready:
            self._waits_for_validation = True
        else:
            self._save_now(trainer, candidates)

    def _time_is_up(self, trainer: Trainer) -> bool:
        """Whether the interval is over by rank 0's clock; if so, it begins anew."""
        interval, now = self._train_time_interval, time.monotonic()
        if interval is None:
            return False
        over = now - self._last_time_saved >= interval.total_seconds()
        is_up: bool = trainer.engine.broadcast(over)
        if is_up:
            self._last_time_saved = now
        return is_up

    def _save_now(self, trainer: Trainer, candidates: Metrics) -> None:
        """Save if it is among the best, and `last`, unless there is a reason not to."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Save by epochs, where the training epoch's end comes last."""
        if self._should_save_on_train_epoch_end(trainer):
            self._save_by_epoch(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Save what waited for this validation, or by epochs where it comes last."""
        self._validated |= not trainer.sanity_checking
        waited, self._waits_for_validation = self._waits_for_validation, False
        if waited:
            self._save_now(trainer, self._monitor_candidates(trainer))
        elif not self._should_save_on_train_epoch_end(trainer):
            self._save_by_epoch(trainer)

    def _save_by_epoch(self, trainer: Trainer) -> None:
        """Save in every n-th epoch, and `last` after any save of this step."""
        if self._should_skip_saving_checkpoint(trainer):
            return
        candidates, every = self._monitor_candidates(trainer), self._every_n_epochs
        if every and (trainer.current_epoch + 1) % every == 0:
            self._save_topk_checkpoint(trainer, candidates)
        saved_now = self._last_global_step_saved == trainer.global_step
        if saved_now or (self.save_last == "link" and self._last_checkpoint_saved):
            self._save_last_checkpoint(trainer, candidates)

    def on_train_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Write `last` where nothing was saved in the whole run, or a kill came before it."""
        due = self._owes_last or not self._last_checkpoint_saved
        if due and not trainer.fast_dev_run:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self.finish_writing()

    def finish_writing(self) -> None:
        """Wait for what is written in the background.

        Raises:
            CheckpointError: it could not be written.
        """
        if self._writer is not None:
            self._writer.finish()

    def on_exception(
        self, trainer: Trainer, pl_module: Module, exception: BaseException
    ) -> None:
        """Save what there is and is sound, where `save_on_exception` asks for it."""
        try:
            self.finish_writing()
        except CheckpointError as error:
            rank_zero_warn(str(error))
        wanted = self.save_on_exception and not isinstance(exception, NonFiniteError)
        if wanted and not self._should_skip_saving_checkpoint(trainer):
            candidates = self._monitor_candidates(trainer)
            filepath = self.format_checkpoint_name(candidates)
            self._save_checkpoint(trainer, filepath)
            self._save_last_checkpoint(trainer, candidates)
            rank_zero_info(f"Saved {filepath} after a {type(exception).__name__}.")
            self.finish_writing()

    def save_stopped(self, trainer: Trainer) -> str:
        """Write `last` where a signal ends the run, whatever `save_last` says.

        Returns:
            its path.
        """
        former, candidates = self.last_model_path, self._monitor_candidates(trainer)
        path = self._free_path(trainer, candidates, former, self.CHECKPOINT_NAME_LAST)
        self.last_model_path = path
        trainer.save_checkpoint(path)
        self._remove_replaced(trainer, former, path)
        self.finish_writing()
        return path

    def _should_skip_saving_checkpoint(self, trainer: Trainer) -> bool:
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
        at_end = not sum(trainer.num_val_batches) or trainer.val_check_interval == 1.0
        return at_end and trainer.check_val_every_n_epoch == 1

    def _monitor_candidates(self, trainer: Trainer) -> Metrics:
        """Copies of all metrics on the CPU, with `epoch` and `step` as integers."""
        counts = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        found: dict[str, Any] = {**counts, **trainer.callback_metrics}
        for name, value in found.items():
            copied = torch.as_tensor(value).detach().cpu().clone()
            found[name] = copied.int() if name in counts else copied
        return found

    @contextmanager
    def _undone_if_unwritten(self) -> Iterator[None]:
        """A save that fails, on a full disk say, leaves record and files as they were.

        Training goes on and tries again, unless no checkpoint of the run stands yet.
        """
        record = self.state_dict()
        try:
            yield
        except CheckpointError as error:
            if not record["_last_checkpoint_saved"]:
                raise
            vars(self).update(record)
            rank_zero_warn(f"{error} Training goes on; the next save tries again.")

    def _save_topk_checkpoint(self, trainer: Trainer, candidates: Metrics) -> None:
        """Save if it is among the best, and delete the one it replaces."""
        if self.save_top_k == 0:
            return
        if self.monitor is None:
            with self._undone_if_unwritten():
                self._save_newest(trainer, candidates)
        elif self.monitor not in candidates:
            self._report_missing_metric(candidates)
        elif self.check_monitor_top_k(trainer, candidates[self.monitor]):
            with self._undone_if_unwritten():
                current = candidates[self.monitor]
                self._update_best_and_save(current, trainer, candidates)
        elif self.verbose:
            self._say(trainer, candidates[self.monitor], "is not among the best")

    def _save_newest(self, trainer: Trainer, candidates: Metrics) -> None:
        """Save; with `save_top_k=1` the file of before goes."""
        replaced = self.best_model_path
        path = self.best_model_path = self._free_path(trainer, candidates, replaced)
        self._save_checkpoint(trainer, path)
        if self.save_top_k == 1:
            self._remove_replaced(trainer, replaced, path)

    def _say(self, trainer: Trainer, score: Tensor, what: str) -> None:
        when = f"Epoch {trainer.current_epoch}, step {trainer.global_step}"
        rank_zero_info(f"{when}: {self.monitor} = {score:.5f} {what}.")

    def _report_missing_metric(self, candidates: Metrics) -> None:
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

    def _update_best_and_save(
        self, current: Tensor, trainer: Trainer, candidates: Metrics
    ) -> None:
        """Save, rank the file among those that are kept, delete the one that falls out."""
        kept, replaced = self.best_k_models, ""
        if len(kept) == self.save_top_k:
            replaced = self.kth_best_model_path
            del kept[replaced]
        score = self._worst if current.isnan() else current
        filepath = self._free_path(trainer, candidates, replaced)
        kept[filepath] = self.current_score = score
        best, worst = (min, max) if self.mode == "min" else (max, min)
        if self.save_top_k in (-1, len(kept)):
            self.kth_best_model_path = worst(kept, key=kept.__getitem__)
            self.kth_value = kept[self.kth_best_model_path]
        self.best_model_path = best(kept, key=kept.__getitem__)
        self.best_model_score = kept[self.best_model_path]
        if self.verbose:
            best_so_far = f"(best {self.best_model_score:.5f})"
            self._say(trainer, score, f"{best_so_far}, saving {filepath}")
        self._save_checkpoint(trainer, filepath)
        self._remove_replaced(trainer, replaced, filepath)

    def _save_last_checkpoint(self, trainer: Trainer, candidates: Metrics) -> None:
        """Write or link `last`; the former one goes."""
        if not self.save_last:
            return
        with self._undone_if_unwritten():
            former, newest = self.last_model_path, self._last_checkpoint_saved
            name = self.CHECKPOINT_NAME_LAST
            path = self._free_path(trainer, candidates, former, name)
            self.last_model_path, self._owes_last = path, False
            if self.save_last == "link" and newest and self.save_top_k != 0:
                self._link_checkpoint(trainer, newest, path)
            else:
                self._save_checkpoint(trainer, path)
            self._remove_replaced(trainer, former, path)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Write the file and tell the loggers."""
        writer: dict[str, Any] = {"writer": self._writer} if self._writer else {}
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = filepath
        self._owes_last = bool(self.save_last) and filepath != self.last_model_path
        trainer.save_checkpoint(filepath, self.save_weights_only, **writer)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            logger.after_save_checkpoint(self)

    @staticmethod
    def _link_checkpoint(trainer: Trainer, filepath: str, linkpath: str) -> None:
        """Make `linkpath` a relative link to the checkpoint, a copy where links fail."""
        if trainer.is_global_zero and filepath != linkpath:
            _delete(linkpath)
            target = os.path.relpath(filepath, os.path.dirname(linkpath))
            try:
                os.symlink(target, linkpath)
            except OSError:  # Windows lets only privileged users make links
                shutil.copy(filepath, linkpath)
        trainer.engine.barrier("link_checkpoint")

    def _free_path(
        self, trainer: Trainer, candidates: Metrics, replaced: str, name: str = ""
    ) -> str:
        """A path that no file but the replaced one has, by the version counter."""
        path = self.format_checkpoint_name(candidates, name)
        versions = itertools.count(self.STARTING_VERSION)
        counts = self._enable_version_counter
        while counts and path != replaced and self.file_exists(path, trainer):
            path = self.format_checkpoint_name(candidates, name, next(versions))
        return path

    def format_checkpoint_name(
        self,
        metrics: Metrics,
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
            number = torch.as_tensor(metrics.get(name, 0)).item()
            try:
                value = format(number, spec)
            except ValueError as error:
                raise MisconfigurationError(
                    f"{type(self).__name__}: {match[0]} in {template!r}: {error}."
                ) from error
            equals = self.CHECKPOINT_EQUALS_CHAR
            return f"{name}{equals}{value}" if self.auto_insert_metric_name else value

        join = self.CHECKPOINT_JOIN_CHAR
        template = filename or self.filename or "{epoch}" + join + "{step}"
        version = None if ver is None else f"v{ver}"
        parts = (prefix, PLACEHOLDER.sub(fill_in, template), version)
        name = join.join(part for part in parts if part is not None)
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
        if inside and not resumed:
            self._remove_checkpoint(trainer, previous)

    def _remove_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Delete it on rank 0, after what is still to be written in the background."""
        if trainer.is_global_zero:
            delete = functools.partial(_delete, filepath)
            self._writer.submit(delete) if self._writer else delete()

    def to_yaml(self, filepath: str | Path | None = None) -> None:
        """Write `best_k_models` as YAML, by default into `dirpath`."""
        import yaml

        path = Path(filepath or os.path.join(self.dirpath or "", "best_k_models.yaml"))
        scores = {name: score.item() for name, score in self.best_k_models.items()}
        path.write_text(yaml.safe_dump(scores), encoding="utf-8")


def _delete(path: str) -> None:
    """Delete a file, a link or a folder; nothing where there is none."""
    crash_point("model_checkpoint.removing")
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
