"""`TensorBoardLogger`: event files for TensorBoard."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from torch import Tensor

from scaffold_runtime.engine import move_batch
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loggers.experiment import as_number
from scaffold_runtime.loggers.hyperparameter import (
    as_dict,
    flatten,
    sanitize,
    write_yaml,
)
from scaffold_runtime.loggers.local import Folder, LocalLogger
from scaffold_runtime.loggers.logger import Params


class TensorBoardLogger(LocalLogger):
    """Write event files and `hparams.yaml` into `<save_dir>/<name>/version_<n>`.

    Args:
        save_dir: folder under which all experiments are saved.
        name: folder of the experiment; empty or None writes straight into `save_dir`.
        version: number of the run, or its folder's name; by default the next number.
        log_graph: record the model's graph; needs its `example_input_array`.
        default_hp_metric: record `hp_metric` with the hyperparameters where no metric
            is given: TensorBoard shows them only with a metric.
        prefix: put before each metric's name, with a dash.
        sub_dir: folder within the run's folder for the event files.
        kwargs: further arguments of torch's `SummaryWriter`.

    Raises:
        MisconfigurationError: the package `tensorboard` is not installed.
    """

    NAME_HPARAMS_FILE: ClassVar[str] = "hparams.yaml"
    package = "tensorboard"

    def __init__(
        self,
        save_dir: Folder,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        log_graph: bool = False,
        default_hp_metric: bool = True,
        prefix: str = "",
        sub_dir: Folder | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(save_dir, name, version, prefix)
        self._log_graph, self._default_hp_metric = log_graph, default_hp_metric
        self.sub_dir = None if sub_dir is None else os.fspath(sub_dir)
        self._kwargs = kwargs
        self.hparams: dict[str, Any] = {}

    @property
    def log_dir(self) -> str:
        """Folder of the event files."""
        path = os.path.join(super().log_dir, self.sub_dir or "").rstrip(os.sep)
        return os.path.expanduser(os.path.expandvars(path))

    def _begin(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(log_dir=self.log_dir, **self._kwargs)

    def _record(self, values: dict[str, Any], step: int | None) -> None:
        for name, value in values.items():
            if isinstance(value, dict):  # several curves in one chart
                self.experiment.add_scalars(name, value, step)
            else:
                self.experiment.add_scalar(name, as_number(value), step)

    def log_hyperparams(
        self,
        params: Params,
        metrics: dict[str, Any] | float | None = None,
        step: int | None = None,
    ) -> None:
        """Record hyperparameters, with the metrics that TensorBoard shows beside them."""
        self.hparams.update(as_dict(params))
        if metrics is None:
            metrics = {"hp_metric": -1} if self._default_hp_metric else {}
        elif not isinstance(metrics, dict):
            metrics = {"hp_metric": metrics}
        if not metrics:
            return
        from torch.utils.tensorboard.summary import hparams

        self.log_metrics(metrics, step)
        writer = self.experiment._get_file_writer()
        for summary in hparams(sanitize(flatten(as_dict(params))), metrics):
            writer.add_summary(summary, step)

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Record the graph of the model's forward, if `log_graph` was asked for."""
        if not self._log_graph:
            return
        example = model.example_input_array if input_array is None else input_array
        if not isinstance(example, (Tensor, tuple)):
            rank_zero_warn(
                "TensorBoardLogger(log_graph=True) records no graph: the module's"
                " example_input_array must be a tensor or a tuple, and is"
                f" {type(example).__name__}."
            )
            return
        device = getattr(model, "device", None)
        self.experiment.add_graph(model, move_batch(example, device))

    def save(self) -> None:
        """Write what is buffered, and the hyperparameters."""
        self.experiment.flush()
        path = os.path.join(self.log_dir, self.NAME_HPARAMS_FILE)
        if not os.path.isfile(path):
            write_yaml(path, self.hparams)

    def finalize(self, status: str) -> None:
        """Write and close, if anything was ever recorded."""
        if self._experiment is not None:
            self.save()
            self._experiment.close()

    def __getstate__(self) -> dict[str, Any]:
        """Without the writer, which has threads and files."""
        return {**self.__dict__, "_experiment": None}
