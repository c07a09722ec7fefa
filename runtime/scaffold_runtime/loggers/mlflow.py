"""`MLFlowLogger`: MLflow, on a server, in a local folder or in a SQLite file."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Literal

from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.loggers.experiment import as_number
from scaffold_runtime.loggers.hyperparameter import as_dict, flatten
from scaffold_runtime.loggers.logger import Params
from scaffold_runtime.loggers.upload import UploadingLogger

FILE_SCHEME = "file:"
FORBIDDEN = re.compile(r"[^a-zA-Z0-9_/. -]+")
MAX_PARAM_LENGTH = 250
MAX_PARAMS_A_BATCH = 100
STATUS = {"success": "FINISHED", "finished": "FINISHED", "failed": "FAILED"}


class MLFlowLogger(UploadingLogger):
    """Send a run to MLflow.

    Args:
        experiment_name: the experiment that the run belongs to; made if it is new.
        run_name: name of the run as shown.
        tracking_uri: server (`http://...`), database (`sqlite:///runs.db`) or folder
            (`file:runs`); by default `MLFLOW_TRACKING_URI`, else `save_dir`.
        tags: tags of the run.
        save_dir: folder to keep runs in where there is no `tracking_uri`.
        log_model: upload checkpoints: True at the end, `"all"` as they are written.
        prefix: put before each metric's name, with a dash.
        artifact_location: where a new experiment keeps its files.
        run_id: a run to go on with.
        synchronous: wait for each record to be written; by default as MLflow does.

    Raises:
        MisconfigurationError: mlflow is not installed.
    """

    package = "mlflow"

    def __init__(
        self,
        experiment_name: str = "lightning_logs",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        tags: dict[str, Any] | None = None,
        save_dir: str | None = "./mlruns",
        log_model: Literal["all"] | bool = False,
        prefix: str = "",
        artifact_location: str | None = None,
        run_id: str | None = None,
        synchronous: bool | None = None,
    ) -> None:
        super().__init__(prefix, log_model)
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self._tracking_uri = uri or f"{FILE_SCHEME}{save_dir}"
        self._experiment_name = experiment_name
        self._artifact_location = artifact_location
        self._run_name, self._run_id, self.tags = run_name, run_id, tags
        self._options = {} if synchronous is None else {"synchronous": synchronous}
        self._experiment_id: str | None = None

    def _begin(self) -> Any:
        """MLflow's client; experiment and run are made where they are new."""
        if self._tracking_uri.startswith(FILE_SCHEME):
            # MLflow 3.17 refuses folders unless it is told that they are meant.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient

        client = MlflowClient(self._tracking_uri)
        if self._run_id is not None:
            self._experiment_id = client.get_run(self._run_id).info.experiment_id
            return client
        name, place = self._experiment_name, self._artifact_location
        found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "deleted":
            self._experiment_id = found.experiment_id
        else:
            self._experiment_id = client.create_experiment(name, place)
        run = client.create_run(
            self._experiment_id, tags=self.tags, run_name=self._run_name
        )
        self._run_id = run.info.run_id
        return client

    @property
    def run_id(self) -> str | None:
        """Identifier of the run, which is made if there is none."""
        _ = self.experiment
        return self._run_id

    @property
    def experiment_id(self) -> str | None:
        """Identifier of the experiment, which is made if there is none."""
        _ = self.experiment
        return self._experiment_id

    name, version = experiment_id, run_id

    @property
    def save_dir(self) -> str | None:
        """Folder that runs are kept in; None on a server or in a database."""
        if not self._tracking_uri.startswith(FILE_SCHEME):
            return None
        return self._tracking_uri.removeprefix(FILE_SCHEME)

    def _record(self, values: dict[str, Any], step: int | None) -> None:
        from mlflow.entities import Metric

        now, records = int(time.time() * 1000), []
        for name, value in values.items():
            if isinstance(value, str):
                rank_zero_warn(f"MLflow logs numbers: {name}={value!r} is left out.")
                continue
            allowed = FORBIDDEN.sub("", name)
            if allowed != name:
                rank_zero_warn(
                    f"MLflow allows only letters, digits and _/. - in names: {name} is"
                    f" logged as {allowed}.",
                    category=RuntimeWarning,
                )
            records.append(Metric(allowed, as_number(value), now, step or 0))
        self.experiment.log_batch(self.run_id, metrics=records, **self._options)

    def log_hyperparams(self, params: Params) -> None:
        """Record hyperparameters, flat, as text of at most 250 characters."""
        from mlflow.entities import Param

        flat = flatten(as_dict(params))
        records = [Param(key, str(v)[:MAX_PARAM_LENGTH]) for key, v in flat.items()]
        for start in range(0, len(records), MAX_PARAMS_A_BATCH):
            batch = records[start : start + MAX_PARAMS_A_BATCH]
            self.experiment.log_batch(self.run_id, params=batch, **self._options)

    def finalize(self, status: str = "success") -> None:
        """End the run, if it ever began."""
        if self._experiment is not None:
            self._upload_postponed()
            state = STATUS.get(status, "KILLED")
            self._experiment.set_terminated(self._run_id, state)

    def _upload(self, path: str, metadata: dict[str, Any], aliases: list[str]) -> None:
        folder = os.path.splitext(os.path.basename(path))[0]
        self.experiment.log_artifact(self.run_id, path, folder)
        content = {**metadata, "aliases": aliases}
        self.experiment.log_dict(self.run_id, content, f"{folder}/metadata.yaml")
