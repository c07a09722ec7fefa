"""`ExperimentLogger`: what the loggers that come with the runtime have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

from torch import Tensor

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loggers.logger import (
    DummyExperiment,
    Logger,
    rank_zero_experiment,
)


class ExperimentLogger(Logger):
    """Base of loggers that record on rank 0, through what they call their experiment.

    Args:
        prefix: put before each metric's name, with a dash.

    Attributes:
        package: what must be installed, if anything.

    Raises:
        MisconfigurationError: it is not installed.
    """

    LOGGER_JOIN_CHAR: ClassVar[str] = "-"
    on_rank_zero: ClassVar[bool] = True
    package: ClassVar[str] = ""

    def __init__(self, prefix: str) -> None:
        if self.package and find_spec(self.package) is None:
            raise MisconfigurationError(
                f"{type(self).__name__} needs the package {self.package}: run `pip"
                f" install {self.package}`, or use CSVLogger."
            )
        self._prefix = prefix
        self._experiment: Any = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What records, on rank 0; begun when it is first asked for.

        Where it cannot begin, say because its server is away, it is one that does nothing.
        """
        if self._experiment is None:
            try:
                self._experiment = self._begin()
            except Exception as error:
                self._experiment = DummyExperiment()
                rank_zero_warn(
                    f"{type(self).__name__} could not begin, and the run goes on without"
                    f" its records ({type(error).__name__}: {error})."
                )
        return self._experiment

    @abstractmethod
    def _begin(self) -> Any:
        """Make the experiment; its package is imported here."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record values by name, to which the prefix is added; `step` is the x axis."""
        start = f"{self._prefix}{self.LOGGER_JOIN_CHAR}" if self._prefix else ""
        self._record({f"{start}{name}": v for name, v in metrics.items()}, step)

    @abstractmethod
    def _record(self, values: dict[str, Any], step: int | None) -> None:
        """Record values under their whole names."""


def as_number(value: Any) -> Any:
    """A tensor's one element; anything else as it is."""
    return value.item() if isinstance(value, Tensor) else value
