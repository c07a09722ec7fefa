from pathlib import Path

import pytest
import torch

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loggers import MLFlowLogger

pytest.importorskip("mlflow")


@pytest.fixture(params=["file:{}/runs", "sqlite:///{}/runs.db"])
def uri(request, tmp_path):
    """A folder, and a SQLite file where the packages for it are there."""
    if request.param.startswith("sqlite"):
        pytest.importorskip("sqlalchemy")
        pytest.importorskip("alembic")
    return request.param.format(tmp_path)


def test_a_run_is_read_back_by_mlflow(uri):
    from mlflow import MlflowClient

    logger = MLFlowLogger("exp", run_name="first", tracking_uri=uri, tags={"a": "b"})
    logger.log_metrics({"loss": torch.tensor(0.5)}, step=3)
    logger.log_hyperparams({"net": {"width": 8}, "long": "x" * 999})
    logger.finalize("success")
    run = MlflowClient(uri).get_run(logger.version)
    assert run.data.metrics == {"loss": 0.5}
    assert run.data.params["net/width"] == "8"
    assert set(run.data.params["long"]) == {"x"}
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.tags["a"] == "b"
    history = MlflowClient(uri).get_metric_history(logger.version, "loss")
    assert [metric.step for metric in history] == [3]


def test_runs_of_one_name_share_the_experiment(tmp_path):
    first, second = (
        MLFlowLogger("exp", tracking_uri=f"file:{tmp_path}") for _ in range(2)
    )
    assert first.name == second.name
    assert first.version != second.version


def test_a_run_may_be_gone_on_with(tmp_path):
    first = MLFlowLogger("exp", tracking_uri=f"file:{tmp_path}")
    second = MLFlowLogger(tracking_uri=f"file:{tmp_path}", run_id=first.run_id)
    second.log_metrics({"a": 1.0}, step=0)
    assert first.experiment.get_run(first.run_id).data.metrics == {"a": 1.0}
    assert second.experiment_id == first.experiment_id


def test_more_parameters_than_mlflow_takes_at_once(tmp_path):
    logger = MLFlowLogger(tracking_uri=f"file:{tmp_path}")
    logger.log_hyperparams({str(i): i for i in range(205)})
    assert len(logger.experiment.get_run(logger.run_id).data.params) == 205


def test_characters_that_mlflow_forbids_are_left_out(tmp_path):
    logger = MLFlowLogger(tracking_uri=f"file:{tmp_path}", prefix="run")
    with pytest.warns(RuntimeWarning, match="logged as run-acc1"):
        logger.log_metrics({"acc@1": 1.0}, step=0)
    assert logger.experiment.get_run(logger.run_id).data.metrics == {"run-acc1": 1.0}


def test_text_among_metrics_is_left_out_with_a_warning(tmp_path):
    logger = MLFlowLogger(tracking_uri=f"file:{tmp_path}")
    with pytest.warns(UserWarning, match="word='x' is left out"):
        logger.log_metrics({"word": "x", "loss": 1.0})
    run = logger.experiment.get_run(logger.run_id)
    assert run.data.metrics == {"loss": 1.0}


def test_the_save_dir(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert MLFlowLogger(save_dir=str(tmp_path)).save_dir == str(tmp_path)
    assert MLFlowLogger(tracking_uri="http://localhost:5000").save_dir is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:elsewhere")
    assert MLFlowLogger().save_dir == "elsewhere"


def test_nothing_is_made_before_something_is_logged(tmp_path):
    MLFlowLogger(tracking_uri=f"file:{tmp_path / 'runs'}").finalize("success")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("save_async", [False, True])
@pytest.mark.parametrize("log_model", ["all", True, False])
def test_checkpoints_are_uploaded(make_trainer, net, tmp_path, log_model, save_async):
    from scaffold_runtime.callbacks import ModelCheckpoint

    logger = MLFlowLogger(tracking_uri=f"file:{tmp_path / 'runs'}", log_model=log_model)
    checkpoint = ModelCheckpoint(
        tmp_path / "c",
        monitor="val_loss",
        filename="{epoch}",
        save_top_k=-1 if save_async and log_model == "all" else 1,
        save_async=save_async,
    )
    trainer = make_trainer(checkpoint, logger=logger, max_epochs=2)
    trainer.fit(net(values=[2.0, 1.0]))
    found = {file.path for file in logger.experiment.list_artifacts(logger.run_id)}
    assert (
        found
        == {
            "all": {"epoch=0", "epoch=1"},
            True: {"epoch=1"},
            False: set(),
        }[log_model]
    )
    for folder in found:
        files = logger.experiment.list_artifacts(logger.run_id, folder)
        assert {Path(file.path).name for file in files} == {
            f"{folder}.ckpt",
            "metadata.yaml",
        }


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        "scaffold_runtime.loggers.experiment.find_spec", lambda name: None
    )
    with pytest.raises(MisconfigurationError, match="pip install mlflow"):
        MLFlowLogger()
