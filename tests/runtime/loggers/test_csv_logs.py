import csv
import math
import pickle
import warnings
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import yaml

from scaffold_runtime.loggers import CSVLogger


def rows(logger: CSVLogger) -> list[dict[str, str]]:
    with open(Path(logger.log_dir) / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_writes_one_line_a_record_with_sorted_columns(tmp_path):
    logger = CSVLogger(tmp_path, name="exp")
    logger.log_metrics({"loss": torch.tensor(0.5), "acc": 1}, step=3)
    logger.log_metrics({"loss": 0.25}, step=7)
    logger.finalize("success")
    text = (tmp_path / "exp" / "version_0" / "metrics.csv").read_text()
    assert text.split() == ["acc,loss,step", "1,0.5,3", ",0.25,7"]


def test_a_new_key_widens_the_header_and_keeps_what_was_written(tmp_path):
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    logger.log_metrics({"a": 1.0}, step=0)
    logger.log_metrics({"b": math.nan}, step=1)
    logger.log_metrics({"a": 3.0}, step=2)
    assert rows(logger) == [
        {"a": "1.0", "b": "", "step": "0"},
        {"a": "", "b": "nan", "step": "1"},
        {"a": "3.0", "b": "", "step": "2"},
    ]
    assert sorted(p.name for p in Path(logger.log_dir).iterdir()) == ["metrics.csv"]


def test_a_flush_appends_without_reading_the_file(tmp_path, monkeypatch):
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    logger.log_metrics({"a": 1.0}, step=0)
    path = Path(logger.log_dir) / "metrics.csv"
    path.write_text(path.read_text() + "note,by hand\n")
    logger.log_metrics({"a": 2.0}, step=1)
    assert path.read_text().split("\n")[2:4] == ["note,by hand", "2.0,1"]


@pytest.mark.parametrize("stride", [1, 30, 50])
def test_flushes_when_so_many_steps_went_by(tmp_path, stride):
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=100)
    steps = range(stride - 1, 250, stride)
    for step in steps:
        logger.log_metrics({"a": 1.0}, step=step)
    written = [int(row["step"]) for row in rows(logger)]
    assert written == [step for step in steps if step <= written[-1]]
    assert written[-1] >= 199


def test_steps_count_records_by_default(tmp_path):
    logger = CSVLogger(tmp_path)
    for _ in range(3):
        logger.log_metrics({"a": 1.0})
    logger.save()
    assert [row["step"] for row in rows(logger)] == ["0", "1", "2"]
    assert logger.experiment.metrics == []


def test_versions_count_up_from_the_highest_there_is(tmp_path):
    assert CSVLogger(tmp_path, name="exp").version == 0
    for folder in ("version_1", "version_10", "version_x", "other"):
        (tmp_path / "exp" / folder).mkdir(parents=True)
    (tmp_path / "exp" / "version_20").touch()
    logger = CSVLogger(tmp_path, name="exp")
    assert logger.version == 11
    assert logger.root_dir == str(tmp_path / "exp")
    assert logger.log_dir == str(tmp_path / "exp" / "version_11")
    assert CSVLogger(tmp_path, version="mine").log_dir.endswith("mine")
    assert CSVLogger(tmp_path, version=3).log_dir.endswith("version_3")


@pytest.mark.parametrize("name", ["", None])
def test_without_a_name_versions_lie_in_the_save_dir(tmp_path, name):
    logger = CSVLogger(tmp_path, name=name)
    assert Path(logger.log_dir) == tmp_path / "version_0"


def test_all_ranks_take_the_version_of_rank_zero(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.share_version(lambda version: version + 5)
    assert logger.version == 5


def test_the_table_of_an_earlier_run_is_kept_aside(tmp_path):
    for value in (1.0, 2.0):
        logger = CSVLogger(tmp_path, version=0)
        if value == 2.0:
            with pytest.warns(UserWarning, match="exists and is not empty"):
                logger.log_metrics({"a": value})
        else:
            logger.log_metrics({"a": value})
        logger.save()
    assert [row["a"] for row in rows(logger)] == ["2.0"]
    assert "1.0" in (Path(logger.log_dir) / "metrics.csv.1").read_text()


def test_the_prefix_stands_before_each_name(tmp_path):
    logger = CSVLogger(tmp_path, prefix="run")
    logger.log_metrics({"a": 1.0})
    logger.save()
    assert set(rows(logger)[0]) == {"run-a", "step"}


def test_hyperparameters_are_yaml_that_a_safe_loader_reads(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.log_hyperparams(
        Namespace(lr=0.1, path=Path("x"), net={"sizes": (1, 2)}, kind=torch.nn.ReLU)
    )
    logger.log_hyperparams({"seed": None, "weight": torch.tensor([1.0])})
    content = yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text())
    assert content == {
        "lr": 0.1,
        "path": "x",
        "net": {"sizes": [1, 2]},
        "kind": str(torch.nn.ReLU),
        "seed": None,
        "weight": [1.0],
    }


def test_nothing_is_written_before_something_is_logged(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.finalize("success")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_a_warning_and_keeps_the_records(
    tmp_path, monkeypatch
):
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    logger.log_metrics({"a": 1.0}, step=0)
    path = Path(logger.log_dir) / "metrics.csv"
    path.rename(tmp_path / "away.csv")
    path.mkdir()
    with pytest.warns(UserWarning, match="CSVLogger.save failed"):
        logger.log_metrics({"a": 2.0}, step=1)
    path.rmdir()
    (tmp_path / "away.csv").rename(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.log_metrics({"a": 3.0}, step=2)
    assert [row["a"] for row in rows(logger)] == ["1.0", "2.0", "3.0"]


def test_survives_pickling(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.log_metrics({"a": 1.0})
    pickle.loads(pickle.dumps(logger)).save()
    assert rows(logger)[0]["a"] == "1.0"
