import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loggers import TensorBoardLogger

pytest.importorskip("tensorboard")


def read(logger: TensorBoardLogger):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return events


def test_scalars_are_read_back_by_tensorboard(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="exp", prefix="run")
    logger.log_metrics({"loss": torch.tensor(0.5)}, step=3)
    logger.log_metrics({"loss": 0.25}, step=7)
    logger.finalize("success")
    assert logger.log_dir == str(tmp_path / "exp" / "version_0")
    scalars = read(logger).Scalars("run-loss")
    assert [(s.step, s.value) for s in scalars] == [(3, 0.5), (7, 0.25)]


def test_hyperparameters_are_shown_and_saved(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.log_hyperparams({"net": {"width": 8}, "act": torch.nn.ReLU})
    logger.finalize("success")
    assert [s.value for s in read(logger).Scalars("hp_metric")] == [-1]
    content = yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text())
    assert content == {"net": {"width": 8}, "act": str(torch.nn.ReLU)}
    tags = read(logger).summary_metadata
    assert "_hparams_/session_start_info" in tags


def test_hyperparameters_without_a_metric_can_be_left_out(tmp_path):
    logger = TensorBoardLogger(tmp_path, default_hp_metric=False)
    logger.log_hyperparams({"a": 1})
    logger.log_metrics({"b": 1.0}, step=0)
    logger.finalize("success")
    assert read(logger).Tags()["scalars"] == ["b"]


def test_a_metric_given_with_the_hyperparameters_is_shown(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.log_hyperparams({"a": 1}, {"val_acc": 0.5})
    logger.finalize("success")
    assert read(logger).Tags()["scalars"] == ["val_acc"]


def test_sub_dir_and_version_make_the_folder(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="exp", version="v", sub_dir="a")
    assert logger.log_dir == str(tmp_path / "exp" / "v" / "a")
    assert logger.root_dir == str(tmp_path / "exp")
    assert logger.save_dir == str(tmp_path)


def test_a_graph_is_recorded_only_when_asked_for(tmp_path):
    model = torch.nn.Linear(2, 2)
    model.example_input_array = torch.zeros(1, 2)
    for asked in (False, True):
        logger = TensorBoardLogger(tmp_path, log_graph=asked)
        logger.log_graph(model)
        logger.log_metrics({"a": 1.0}, step=0)
        logger.finalize("success")
        assert read(logger).Tags()["graph"] is asked


def test_the_example_of_a_graph_is_brought_to_the_model(tmp_path, monkeypatch):
    model = torch.nn.Linear(2, 2)
    model.device = torch.device("meta")
    logger = TensorBoardLogger(tmp_path, log_graph=True)
    seen = []
    monkeypatch.setattr(
        logger.experiment, "add_graph", lambda *given: seen.append(given)
    )
    logger.log_graph(model, (torch.zeros(1, 2),))
    ((_, (example,)),) = seen
    assert example.device.type == "meta"


def test_a_graph_without_example_warns(tmp_path):
    model = torch.nn.Linear(2, 2)
    model.example_input_array = None
    with pytest.warns(UserWarning, match="example_input_array"):
        TensorBoardLogger(tmp_path, log_graph=True).log_graph(model)


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "scaffold_runtime.loggers.experiment.find_spec", lambda name: None
    )
    with pytest.raises(MisconfigurationError, match="pip install tensorboard"):
        TensorBoardLogger(tmp_path)


def test_survives_pickling(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=0)
    assert pickle.loads(pickle.dumps(logger)).log_dir == logger.log_dir


def test_the_package_is_imported_only_when_something_is_logged(tmp_path):
    code = (
        "import sys, scaffold_runtime.callbacks, scaffold_runtime.loggers as l\n"
        f"l.TensorBoardLogger({str(tmp_path)!r})\n"
        "heavy = {'tensorboard', 'torch.utils.tensorboard', 'rich', 'wandb',"
        " 'mlflow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
