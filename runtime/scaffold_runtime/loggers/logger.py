"""`Logger`: where metrics go, and the promise that it never ends a run."""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from scaffold_runtime.errors import UserError
from scaffold_runtime.launch import global_rank, rank_zero_warn

if TYPE_CHECKING:
    from argparse import Namespace

    from scaffold_runtime.callback import Callback

T = TypeVar("T")
Broadcast = Callable[[Any], Any]

RECORDING_METHODS = (
    "log_metrics",
    "log_hyperparams",
    "log_graph",
    "save",
    "finalize",
    "after_save_checkpoint",
)


class Logger(ABC):
    """Base of loggers.

    What a subclass' recording methods raise becomes a warning, once for each method:
    a full disk or a tracking server that is away costs the records and not the run. A
    `UserError`, which says how to put things right, is passed on.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in RECORDING_METHODS:
            if name in vars(cls):
                setattr(cls, name, _warn_instead_of_raising(vars(cls)[name]))

    @property
    @abstractmethod
    def name(self) -> str | None:
        """Name of the experiment."""

    @property
    @abstractmethod
    def version(self) -> int | str | None:
        """Number or identifier of the run within the experiment."""

    @property
    def save_dir(self) -> str | None:
        """Folder under which all is saved; None where nothing is saved locally."""
        return None

    @property
    def root_dir(self) -> str | None:
        """Folder of the experiment, with all its versions."""
        return None

    @property
    def log_dir(self) -> str | None:
        """Folder of this run."""
        return None

    def share_version(self, broadcast: Callable[[Any], Any]) -> None:  # noqa: B027
        """Let all ranks know the run's folder that rank 0 chose, before it is made.

        Args:
            broadcast: returns rank 0's argument on every rank.
        """

    @property
    def group_separator(self) -> str:
        """What stands between a group and a metric in a name."""
        return "/"

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record numbers.

        Args:
            metrics: numbers or tensors of one element, by name.
            step: the x axis.
        """

    @abstractmethod
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Record hyperparameters."""

    def log_graph(self, model: Any, input_array: Any = None) -> None:  # noqa: B027
        """Record the graph of a model's forward, where the logger can."""

    def after_save_checkpoint(  # noqa: B027
        self, checkpoint_callback: Callback
    ) -> None:
        """Called on rank 0 when a ModelCheckpoint has written a file."""

    def save(self) -> None:  # noqa: B027
        """Write what is buffered."""

    def finalize(self, status: str) -> None:
        """End the run.

        Args:
            status: `"success"`, `"failed"` or `"aborted"`.
        """
        self.save()


def _warn_instead_of_raising(method: Callable[..., T]) -> Callable[..., T | None]:
    @functools.wraps(method)
    def guarded(self: Logger, *args: Any, **kwargs: Any) -> T | None:
        try:
            return method(self, *args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            failed = self.__dict__.setdefault("_failed_methods", set())
            if method.__name__ not in failed:
                failed.add(method.__name__)
                rank_zero_warn(
                    f"{type(self).__name__}.{method.__name__} failed and the run goes on"
                    f" without it ({type(error).__name__}: {error})."
                )
            return None

    return guarded


class DummyExperiment:
    """Takes any call and does nothing."""

    def nop(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return self.nop

    def __getitem__(self, index: int) -> DummyExperiment:
        return self

    def __setitem__(self, *args: Any, **kwargs: Any) -> None:
        pass


def rank_zero_experiment(experiment: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give the real experiment on rank 0 and one that does nothing on the others."""

    @functools.wraps(experiment)
    def on_rank_zero(self: Any) -> Any:
        return experiment(self) if global_rank() == 0 else DummyExperiment()

    return on_rank_zero


class DummyLogger(Logger):
    """Stands in for the user's loggers in a trial run: takes any call, writes nothing."""

    def __init__(self) -> None:
        self._experiment = DummyExperiment()

    @property
    def experiment(self) -> DummyExperiment:
        """An object that takes any call and does nothing."""
        return self._experiment

    @property
    def name(self) -> str:
        """No name."""
        return ""

    @property
    def version(self) -> str:
        """No version."""
        return ""

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def __getitem__(self, index: int) -> DummyLogger:
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):  # copy and pickle ask for methods that are not there
            raise AttributeError(name)
        return self._experiment.nop


class CheckpointUploads:
    """When a logger uploads the files of ModelCheckpoints, and which it has yet to.

    Args:
        log_model: True at the end of the run, `"all"` as they are written, False never.
        upload: uploads a file, given its path, its metadata and its aliases.
    """

    def __init__(
        self,
        log_model: str | bool,
        upload: Callable[[str, dict[str, Any], list[str]], None],
    ) -> None:
        self._log_model, self._upload = log_model, upload
        self._uploaded: dict[str, float] = {}
        self._postponed: dict[int, Any] = {}

    def saved(self, checkpoint_callback: Any) -> None:
        """Upload what a ModelCheckpoint has just written, or remember to at the end."""
        keeps_all = checkpoint_callback.save_top_k == -1
        if self._log_model == "all" or (self._log_model and keeps_all):
            self._upload_new(checkpoint_callback)
        elif self._log_model:
            self._postponed[id(checkpoint_callback)] = checkpoint_callback

    def finish(self) -> None:
        """Upload what was postponed."""
        for checkpoint_callback in self._postponed.values():
            self._upload_new(checkpoint_callback)

    def _upload_new(self, callback: Any) -> None:
        """Upload files written since they were last looked at, oldest first."""
        scores = {
            callback.best_model_path: callback.best_model_score,
            callback.last_model_path: callback.current_score,
            **callback.best_k_models,
        }
        written = {
            path: os.path.getmtime(path) for path in scores if os.path.isfile(path)
        }
        settings = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only")
        for path in sorted(written, key=written.__getitem__):
            if self._uploaded.get(path) == written[path]:
                continue
            metadata = {
                "score": None if scores[path] is None else float(scores[path]),
                "original_filename": os.path.basename(path),
                type(callback).__name__: {n: getattr(callback, n) for n in settings},
            }
            is_best = path == callback.best_model_path
            self._upload(path, metadata, ["latest", "best"] if is_best else ["latest"])
        self._uploaded.update(written)


def add_prefix(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The metrics under their names with a prefix and a dash, where there is one."""
    return {f"{prefix}-{name}" if prefix else name: v for name, v in metrics.items()}
