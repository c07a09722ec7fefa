"""`WandbLogger`: Weights & Biases, online or offline."""

from __future__ import annotations

import os
from typing import Any, Literal

from scaffold_runtime.errors import MisconfigurationError, WrongTypeError
from scaffold_runtime.launch import rank_zero_only, rank_zero_warn
from scaffold_runtime.loggers.hyperparameter import as_dict, plain
from scaffold_runtime.loggers.local import Folder
from scaffold_runtime.loggers.logger import Params
from scaffold_runtime.loggers.upload import UploadingLogger

Data = list[Any]
Step = int | None


class WandbLogger(UploadingLogger):
    """Send a run to Weights & Biases.

    Args:
        name: name of the run as shown.
        save_dir: folder for the run's local files.
        version: identifier of the run; give it again to go on with a run.
        offline: keep the run in local files, to be sent later with `wandb sync`.
        dir: the same as `save_dir`.
        id: the same as `version`.
        anonymous: allow a run without an account.
        project: project that the run belongs to; by default `WANDB_PROJECT`, else
            `lightning_logs`.
        log_model: upload checkpoints: True at the end, `"all"` as they are written.
        experiment: a run of wandb's to log to, instead of a new one.
        prefix: put before each metric's name, with a dash.
        checkpoint_name: name of the uploaded checkpoints; by default `model-<run id>`.
        add_file_policy: `"mutable"` copies a checkpoint before it is uploaded.
        kwargs: further arguments of `wandb.init`.

    Raises:
        MisconfigurationError: wandb is not installed, or an upload is asked for offline.
    """

    package = "wandb"

    def __init__(
        self,
        name: str | None = None,
        save_dir: Folder = ".",
        version: str | None = None,
        offline: bool = False,
        dir: Folder | None = None,
        id: str | None = None,
        anonymous: bool | None = None,
        project: str | None = None,
        log_model: Literal["all"] | bool = False,
        experiment: Any = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        add_file_policy: Literal["mutable", "immutable"] = "mutable",
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix, log_model)
        if offline and log_model:
            raise MisconfigurationError(
                f"WandbLogger(offline=True, log_model={log_model!r}): checkpoints cannot"
                " be uploaded offline; leave one of the two out."
            )
        self._experiment = experiment
        self._checkpoint_name, self.add_file_policy = checkpoint_name, add_file_policy
        # In these words jsonargparse finds the arguments of wandb.init for a config.
        self._wandb_init: dict[str, Any] = dict(**kwargs)
        resume = kwargs.get("resume")
        self._wandb_init |= {
            "name": name,
            "project": project or os.environ.get("WANDB_PROJECT", "lightning_logs"),
            "dir": os.fspath(save_dir or dir or "."),
            "id": version or id or getattr(experiment, "id", None),
            "resume": "allow" if resume is None else resume,
            **({"mode": "offline"} if offline else {}),
            **({"anonymous": "allow"} if anonymous else {}),
        }

    def _begin(self) -> Any:
        import wandb

        if wandb.run is not None:
            rank_zero_warn(
                "A wandb run is in progress and this WandbLogger goes on with it: call"
                " wandb.finish() before if you mean a new one."
            )
            run = wandb.run
        else:
            os.makedirs(self._wandb_init["dir"], exist_ok=True)
            run, x = wandb.init(**self._wandb_init), "trainer/global_step"
            run.define_metric(x)
            run.define_metric("*", step_metric=x, step_sync=True)
        self._wandb_init["id"] = run.id
        return run

    @property
    def name(self) -> str:
        """The project's name; the run's own is `experiment.name`."""
        return str(self._wandb_init["project"])

    @property
    def version(self) -> str | None:
        """Identifier of the run; None before it begins, unless it was given."""
        version: str | None = self._wandb_init["id"]
        return version

    @property
    def save_dir(self) -> str:
        """Folder for the run's local files."""
        return str(self._wandb_init["dir"])

    def _record(self, values: dict[str, Any], step: int | None) -> None:
        x = {} if step is None else {"trainer/global_step": step}
        self.experiment.log({**values, **x})

    def log_hyperparams(self, params: Params) -> None:
        """Record hyperparameters in the run's config."""
        self.experiment.config.update(plain(as_dict(params)), allow_val_change=True)

    def watch(
        self,
        model: Any,
        log: str | None = "gradients",
        log_freq: int = 100,
        log_graph: bool = True,
    ) -> None:
        """Record gradients, parameters and the graph of a model as it trains."""
        self.experiment.watch(model, log=log, log_freq=log_freq, log_graph=log_graph)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str | int] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Record a table, given as columns and data or as a data frame."""
        import wandb

        table = wandb.Table(columns=columns, data=data, dataframe=dataframe)
        self.log_metrics({key: table}, step)

    log_text = log_table

    def log_image(self, key: str, images: Data, step: Step = None, **kw: Data) -> None:
        """Record images (tensors, arrays, paths); further lists hold captions and so on."""
        self._log_media("Image", key, images, step, kw)

    def log_audio(self, key: str, audios: Data, step: Step = None, **kw: Data) -> None:
        """Record sounds (arrays, paths); further lists hold captions and so on."""
        self._log_media("Audio", key, audios, step, kw)

    def log_video(self, key: str, videos: Data, step: Step = None, **kw: Data) -> None:
        """Record videos (arrays, paths); further lists hold captions and so on."""
        self._log_media("Video", key, videos, step, kw)

    @rank_zero_only
    def _log_media(
        self, kind: str, key: str, items: Data, step: Step, options: dict[str, Data]
    ) -> None:
        """Record items of one of wandb's kinds, each with its own options.

        Raises:
            WrongTypeError: items or options are no list, or not of one length.
        """
        import wandb

        for name, values in {"items": items, **options}.items():
            if not isinstance(items, list) or len(values) != len(items):
                raise WrongTypeError(
                    f"WandbLogger: {name} of {key!r} must be a list, one for each item, and"
                    f" it is {values!r:.50}."
                )
        make = getattr(wandb, kind)
        of_each = [{n: v[i] for n, v in options.items()} for i in range(len(items))]
        media = [make(item, **own) for item, own in zip(items, of_each, strict=True)]
        self.log_metrics({key: media}, step)

    @staticmethod
    @rank_zero_only
    def download_artifact(
        artifact: str,
        save_dir: Folder | None = None,
        artifact_type: str | None = None,
        use_artifact: bool = True,
    ) -> str:
        """Download an artifact and return its folder.

        Args:
            artifact: its path on the server.
            save_dir: folder to put it in.
            artifact_type: its type.
            use_artifact: note in the run in progress that it was used.
        """
        import wandb

        if wandb.run is not None and use_artifact:
            found = wandb.run.use_artifact(artifact)
        else:
            found = wandb.Api().artifact(artifact, type=artifact_type)
        return str(found.download(root=save_dir and os.fspath(save_dir)))

    def use_artifact(self, artifact: str, artifact_type: str | None = None) -> Any:
        """Note that the run uses an artifact, and return it."""
        return self.experiment.use_artifact(artifact, type=artifact_type)

    def finalize(self, status: str) -> None:
        """Upload the checkpoints of a run that went well."""
        if status == "success" and self._experiment is not None:
            self._upload_postponed()

    def _upload(self, path: str, metadata: dict[str, Any], aliases: list[str]) -> None:
        import wandb

        name = self._checkpoint_name or f"model-{self.experiment.id}"
        artifact = wandb.Artifact(name=name, type="model", metadata=metadata)
        artifact.add_file(path, name="model.ckpt", policy=self.add_file_policy)
        self.experiment.log_artifact(artifact, aliases=aliases)

    def __getstate__(self) -> dict[str, Any]:
        """Without the run, which has processes; a copy goes on with it by its id."""
        return {**self.__dict__, "_experiment": None}
