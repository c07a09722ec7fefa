import json
import pickle

import pytest
import torch

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loggers import WandbLogger

wandb = pytest.importorskip("wandb")


@pytest.fixture
def logger(tmp_path, monkeypatch):
    """A logger whose run is kept in local files."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(offline=True, save_dir=tmp_path, project="p", prefix="run")
    yield logger
    if logger._experiment is not None:
        wandb.finish()


def test_an_offline_run_holds_metrics_and_config(logger, tmp_path):
    logger.log_metrics({"loss": torch.tensor(0.5)}, step=3)
    logger.log_hyperparams({"net": {"sizes": (1, 2)}, "act": torch.nn.ReLU})
    logger.finalize("success")
    summary = dict(logger.experiment.summary)
    assert (summary["run-loss"], summary["trainer/global_step"]) == (0.5, 3)
    assert json.loads(json.dumps(dict(logger.experiment.config))) == {
        "net": {"sizes": [1, 2]},
        "act": str(torch.nn.ReLU),
    }
    wandb.finish()
    logger._experiment = None
    (run,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert run.stat().st_size > 0


def test_arguments_of_wandb_leave_offline_and_resume_alone(tmp_path):
    """As a config gives them: all that wandb.init has, most of them None."""
    given = {"mode": None, "resume": None, "tags": ["a"], "group": None}
    logger = WandbLogger(save_dir=tmp_path, offline=True, **given)
    run = logger.experiment
    assert run.settings.mode == "offline" and run.settings.resume == "allow"
    assert run.tags == ("a",)
    run.finish()


def test_names(logger):
    assert (logger.name, logger.version) == ("p", None)
    run = logger.experiment
    assert logger.version == run.id


def test_tables_and_images(logger):
    logger.log_table("t", columns=["a"], data=[[1]])
    logger.log_text("words", columns=["a"], data=[["b"]])
    logger.log_image("i", [torch.zeros(3, 4, 4)], caption=["black"], step=2)
    keys = set(logger.experiment.summary.keys())
    assert {"run-t", "run-words", "run-i"} <= keys


def test_options_that_are_not_one_for_each_are_refused(logger):
    with pytest.raises(MisconfigurationError, match="caption"):
        logger.log_image("i", [torch.zeros(3, 4, 4)], caption=["a", "b"])


@pytest.mark.parametrize("items", [torch.zeros(2, 3, 4, 4), 1, None])
def test_items_that_are_no_list_are_refused(logger, items):
    with pytest.raises(MisconfigurationError, match="must be a list"):
        logger.log_image("i", items)


def test_a_second_logger_goes_on_with_the_run_in_progress(logger):
    run = logger.experiment
    second = WandbLogger(offline=True)
    with pytest.warns(UserWarning, match="in progress"):
        assert second.experiment is run


def test_a_run_that_cannot_begin_has_no_version(logger, monkeypatch):
    def fail(**settings):
        raise wandb.errors.CommError("no network")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.warns(UserWarning, match="could not begin.*no network"):
        logger.log_metrics({"a": 1.0}, step=0)
    logger.experiment.log({"b": 2.0})
    assert logger.version is None


def test_a_copy_goes_on_with_the_same_run(logger):
    run = logger.experiment
    assert pickle.loads(pickle.dumps(logger)).version == run.id


def test_uploads_are_refused_offline():
    with pytest.raises(MisconfigurationError, match="offline"):
        WandbLogger(offline=True, log_model=True)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        "scaffold_runtime.loggers.experiment.find_spec", lambda name: None
    )
    with pytest.raises(MisconfigurationError, match="pip install wandb"):
        WandbLogger()


@pytest.mark.parametrize(("log_model", "uploads"), [("all", 2), (True, 1), (False, 0)])
def test_checkpoints_are_uploaded(make_trainer, net, tmp_path, log_model, uploads):
    """Against a run that only counts: nothing here can reach a server."""
    from scaffold_runtime.callbacks import ModelCheckpoint

    class Run:
        id = "x"

        def __init__(self):
            self.artifacts = []

        def log(self, record):
            pass

        def log_artifact(self, artifact, aliases):
            self.artifacts.append((artifact.name, artifact.metadata, aliases))

    run = Run()
    logger = WandbLogger(experiment=run, log_model=log_model, save_dir=tmp_path)
    checkpoint = ModelCheckpoint(tmp_path / "c", monitor="val_loss")
    model = net(values=[2.0, 1.0])
    make_trainer(checkpoint, logger=logger, max_epochs=2).fit(model)
    assert len(run.artifacts) == uploads
    if uploads:
        name, metadata, aliases = run.artifacts[-1]
        assert (name, aliases, metadata["score"]) == (
            "model-x",
            ["latest", "best"],
            1.0,
        )
