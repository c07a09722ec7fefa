"""`CSVLogger`: metrics as a table that any program reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loggers.experiment import as_number
from scaffold_runtime.loggers.hyperparameter import as_dict, write_yaml
from scaffold_runtime.loggers.local import Folder, LocalLogger
from scaffold_runtime.loggers.logger import Params


class CSVLogger(LocalLogger):
    """Write `metrics.csv` and `hparams.yaml` into `<save_dir>/<name>/version_<n>`.

    One line per record, one column per metric, sorted; a metric that was not recorded
    is an empty cell, NaN is `nan`. Without a step, records are counted.

    Args:
        save_dir: folder under which all experiments are saved.
        name: folder of the experiment; empty or None writes straight into `save_dir`.
        version: number of the run, or its folder's name; by default the next number.
        prefix: put before each metric's name, with a dash.
        flush_logs_every_n_steps: write to the file after so many steps.
    """

    def __init__(
        self,
        save_dir: Folder,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
    ) -> None:
        super().__init__(save_dir, name, version, prefix)
        self._flush_logs_every_n_steps = flush_logs_every_n_steps
        self._flushes_due = 0

    def _begin(self) -> ExperimentWriter:
        return ExperimentWriter(self.log_dir)

    def _record(self, values: dict[str, Any], step: int | None) -> None:
        step = len(self.experiment.metrics) if step is None else step
        self.experiment.log_metrics(values, step)
        # Steps come in strides of log_every_n_steps and may jump over a multiple.
        flushes_due, rest = divmod(step + 1, self._flush_logs_every_n_steps)
        if rest == 0 or flushes_due != self._flushes_due:
            self.save()
        self._flushes_due = flushes_due

    def log_hyperparams(self, params: Params | None = None, *_: Any, **__: Any) -> None:
        """Add to the run's hyperparameters and write them."""
        self.experiment.log_hparams(as_dict(params))

    def save(self) -> None:
        """Write the records that are not yet in the file."""
        self.experiment.save()

    def finalize(self, status: str) -> None:
        """Write the records that are not yet in the file, if there ever were any."""
        if self._experiment is not None:
            self.save()


class ExperimentWriter:
    """The files of one run.

    Args:
        log_dir: folder of the run; a table that is there already is moved aside.

    Attributes:
        metrics: records that are not yet in the file.
        metrics_keys: columns of the file, sorted.
        hparams: all hyperparameters recorded so far.
    """

    NAME_METRICS_FILE: ClassVar[str] = "metrics.csv"
    NAME_HPARAMS_FILE: ClassVar[str] = "hparams.yaml"

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.metrics: list[dict[str, Any]] = []
        self.metrics_keys: list[str] = []
        self.hparams: dict[str, Any] = {}
        self.metrics_file_path = path = os.path.join(log_dir, self.NAME_METRICS_FILE)
        os.makedirs(log_dir, exist_ok=True)
        if os.path.isfile(path):
            number = 1
            while os.path.exists(kept := f"{path}.{number}"):
                number += 1
            os.replace(path, kept)
            rank_zero_warn(
                f"Experiment logs directory {log_dir} exists and is not empty: its"
                f" {self.NAME_METRICS_FILE} is kept as {os.path.basename(kept)}."
            )

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Keep a record until the next save; tensors become numbers."""
        record = {name: as_number(value) for name, value in metrics.items()}
        record["step"] = len(self.metrics) if step is None else step
        self.metrics.append(record)

    def log_hparams(self, params: Mapping[str, Any]) -> None:
        """Add to the hyperparameters and write them."""
        self.hparams.update(params)
        write_yaml(os.path.join(self.log_dir, self.NAME_HPARAMS_FILE), self.hparams)

    def save(self) -> None:
        """Append the records; where they have new columns, write the file anew."""
        if not self.metrics:
            return
        rows, target, mode = self.metrics, self.metrics_file_path, "a"
        columns = sorted({*self.metrics_keys, *(key for row in rows for key in row)})
        if columns != self.metrics_keys:
            rows = [*self._read(), *rows]
            target, mode = f"{target}.tmp", "w"
        with open(target, mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=columns)
            if mode == "w":
                writer.writeheader()
            writer.writerows(rows)
        if mode == "w":
            os.replace(target, self.metrics_file_path)
        self.metrics_keys, self.metrics = columns, []

    def _read(self) -> list[dict[str, Any]]:
        """The records that are in the file."""
        if not os.path.isfile(self.metrics_file_path):
            return []
        with open(self.metrics_file_path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
