"""The same calls under Lightning leave the same records behind."""

import warnings
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import yaml

import scaffold_runtime

lightning = pytest.importorskip("lightning.pytorch")

HPARAMS = {
    "lr": 0.1,
    "layers": [1, 2],
    "net": {"width": 8, "act": "relu", "deep": {"x": None, "y": True}},
    "space": Namespace(a=1, b="c"),
    "tuple": (1, 2),
}


def use(logger):
    """What a run and a user do with a logger."""
    logger.log_hyperparams(HPARAMS)
    for step in range(3):
        logger.log_metrics({"loss": torch.tensor(1.0) / (step + 1), "n": step}, step)
    logger.log_metrics({"late/acc": 0.5}, step=7)
    logger.save()
    logger.finalize("success")


def both(make, folder):
    """The logger that `make` returns under either library, used, and what it knows."""
    found = []
    for library in (lightning, scaffold_runtime):
        logger = make(library.loggers, str(folder / library.__name__))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(logger)
        found.append(logger)
    return found


def places(logger, folder):
    names = ("name", "version", "save_dir", "root_dir", "log_dir", "group_separator")
    known = {name: getattr(logger, name) for name in names}
    return {
        n: v.replace(str(folder), "") if isinstance(v, str) else v
        for n, v in known.items()
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"name": "exp", "version": "v", "prefix": "p"}, {"name": "", "version": 3}],
)
@pytest.mark.parametrize("kind", ["CSVLogger", "TensorBoardLogger"])
def test_local_loggers(kind, options, tmp_path):
    theirs, ours = both(
        lambda door, folder: getattr(door, kind)(folder, **options), tmp_path
    )
    assert places(ours, tmp_path / "scaffold_runtime") == places(
        theirs, tmp_path / "lightning.pytorch"
    )
    if kind == "CSVLogger":
        tables = [Path(x.log_dir, "metrics.csv").read_text() for x in (theirs, ours)]
        assert tables[0] == tables[1]
    else:
        assert events(ours) == events(theirs)
    assert hparams(ours, yaml.SafeLoader) == hparams(theirs, yaml.UnsafeLoader)


def hparams(logger, loader):
    text = Path(logger.log_dir, "hparams.yaml").read_text()
    found = yaml.load(text, loader)
    return {k: v for k, v in found.items() if k not in ("space", "tuple")}


def events(logger):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(logger.log_dir)
    read.Reload()
    tags = read.Tags()["scalars"]
    scalars = {t: [(e.step, e.value) for e in read.Scalars(t)] for t in tags}
    plugin = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    start = HParamsPluginData.FromString(plugin).session_start_info.hparams
    return scalars, {key: str(value) for key, value in start.items()}


def test_mlflow(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def make(door, folder):
        options = {"run_name": "r", "tags": {"a": "b"}, "prefix": "p"}
        return door.MLFlowLogger("exp", tracking_uri=f"file:{folder}", **options)

    found = []
    for logger in both(make, tmp_path):
        run = logger.experiment.get_run(logger.run_id)
        history = logger.experiment.get_metric_history(logger.run_id, "p-loss")
        found.append(
            (
                run.data.metrics,
                run.data.params,
                run.data.tags["a"],
                run.info.status,
                run.info.run_name,
                [(metric.step, metric.value) for metric in history],
                logger.name == logger.experiment_id,
                logger.version == logger.run_id,
            )
        )
    assert found[1] == found[0]
