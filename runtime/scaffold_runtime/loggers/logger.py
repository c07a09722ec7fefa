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
    """Which files of a ModelCheckpoint a logger has yet to upload."""

    def __init__(self) -> None:
        self._uploaded: dict[str, float] = {}

    def pending(
        self, checkpoint_callback: Any
    ) -> list[tuple[str, dict[str, Any], bool]]:
        """Files written since they were last asked for, oldest first.

        Args:
            checkpoint_callback: a ModelCheckpoint.

        Returns:
            Path, metadata and whether it is the best, of each file.
        """
        scores = {
            checkpoint_callback.best_model_path: checkpoint_callback.best_model_score,
            checkpoint_callback.last_model_path: checkpoint_callback.current_score,
            **checkpoint_callback.best_k_models,
        }
        written = {
            path: os.path.getmtime(path) for path in scores if os.path.isfile(path)
        }
        new = [path for path in written if self._uploaded.get(path) != written[path]]
        self._uploaded.update(written)
        settings = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only")
        kept = {name: getattr(checkpoint_callback, name) for name in settings}
        return [
            (
                path,
                {
                    "score": None if scores[path] is None else float(scores[path]),
                    "original_filename": os.path.basename(path),
                    type(checkpoint_callback).__name__: kept,
                },
                path == checkpoint_callback.best_model_path,
            )
            for path in sorted(new, key=written.__getitem__)
        ]
