"""`Logger`: where metrics go, and the promise that it never ends a run."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from scaffold_runtime.errors import UserError
from scaffold_runtime.launch import global_rank, rank_zero_warn

Params = dict[str, Any] | Namespace
Method = Callable[..., Any]
RECORDING_METHODS = (
    "log_metrics log_hyperparams log_graph after_save_checkpoint save finalize"
).split()


def _guarded(method: Method) -> Method:
    """The method on the ranks that record, with a warning for what it raises."""

    @functools.wraps(method)
    def guarded(self: Logger, *args: Any, **kwargs: Any) -> Any:
        if self.on_rank_zero and global_rank() != 0:
            return None
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


class Logger(ABC):
    """Base of loggers.

    What a subclass' recording methods raise becomes a warning, once for each method:
    a full disk or a tracking server that is away costs the records and not the run. A
    `UserError`, which says how to put things right, is passed on.

    Attributes:
        on_rank_zero: the recording methods do nothing on other ranks.
    """

    on_rank_zero: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in RECORDING_METHODS:
            if name in vars(cls):
                setattr(cls, name, _guarded(vars(cls)[name]))

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

    def share_version(self, broadcast: Method) -> None:  # noqa: B027
        """Let all ranks know the run's folder that rank 0 chose, before it is made.

        Args:
            broadcast: returns rank 0's argument on every rank.
        """

    @_guarded
    def begin(self) -> None:
        """Make what the run's records go to, before the first of them."""
        _ = getattr(self, "experiment", None)

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
    def log_hyperparams(self, params: Params, *args: Any, **kwargs: Any) -> None:
        """Record hyperparameters."""

    def log_graph(self, model: Any, input_array: Any = None) -> None:  # noqa: B027
        """Record the graph of a model's forward, where the logger can."""

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:  # noqa: B027
        """Called on rank 0 when a ModelCheckpoint has written a file."""

    def save(self) -> None:  # noqa: B027
        """Write what is buffered."""

    def finalize(self, status: str) -> None:
        """End the run.

        Args:
            status: `"success"`, `"failed"` or `"aborted"`.
        """
        self.save()


class DummyExperiment:
    """Takes any call and does nothing."""

    def nop(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    __setitem__ = nop

    def __getitem__(self, index: int) -> DummyExperiment:
        return self

    def __getattr__(self, name: str) -> Method:
        if name.startswith("__"):  # copy and pickle ask for methods that are not there
            raise AttributeError(name)
        return self.nop


def rank_zero_experiment(experiment: Method) -> Method:
    """Give the real experiment on rank 0 and one that does nothing on the others."""

    @functools.wraps(experiment)
    def on_rank_zero(self: Any) -> Any:
        return experiment(self) if global_rank() == 0 else DummyExperiment()

    return on_rank_zero


class DummyLogger(DummyExperiment, Logger):
    """Stands in for the user's loggers in a trial run: takes any call, writes nothing."""

    name = version = ""
    experiment = DummyExperiment()
    log_metrics = log_hyperparams = DummyExperiment.nop
