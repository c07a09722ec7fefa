import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.callbacks import EarlyStopping, RunRecord
from scaffold_runtime.errors import NonFiniteError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the script, the runs and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py"), "fit"])
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    return tmp_path


@pytest.fixture
def trainer():
    def make(*callbacks, **arguments):
        quiet = {
            "accelerator": "cpu",
            "max_epochs": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
        }
        return L.Trainer(callbacks=[RunRecord(), *callbacks], **(quiet | arguments))

    return make


def record(trainer):
    return json.loads(Path(trainer.log_dir, "run.json").read_text())


def test_what_was_run_and_with_what(net, trainer, folder):
    L.seed_everything(5)
    run = trainer()
    run.fit(net())
    written = record(run)
    assert written["command"] == [str(folder / "train.py"), "fit"]
    assert written["git"] is None
    assert written["versions"]["torch"] == torch.__version__
    assert written["versions"]["scaffold_runtime"] == L.__version__
    assert written["device"] == "cpu"
    assert written["seed"] == 5
    assert written["precision"] == "32-true"
    assert written["world_size"] == 1
    assert written["seconds"] > 0
    assert written["ended"] == "completed: max_epochs=2"
    assert written["metrics"] == {
        name: pytest.approx(float(value))
        for name, value in run.callback_metrics.items()
    }
    assert {"train_loss", "val_loss"} <= written["metrics"].keys()


def test_secrets_are_not_recorded(net, trainer, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--api_key", "s3cret", "fit"])
    run = trainer()
    run.fit(net())
    assert record(run)["command"] == ["train.py", "--api_key", "********", "fit"]


def test_no_seed_is_null(net, trainer):
    run = trainer(max_steps=1)
    run.fit(net())
    assert record(run)["seed"] is None
    assert record(run)["ended"] == "completed: max_steps=1"


def test_the_commit_and_whether_the_code_differs_from_it(net, trainer, folder):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *identity, *words], check=True, capture_output=True)

    script = folder / "train.py"
    script.write_text("1\n")
    git("init")
    git("add", "train.py")
    git("commit", "-m", "first")
    clean, dirty = trainer(), trainer()
    clean.fit(net())
    script.write_text("2\n")
    dirty.fit(net())
    assert record(clean)["git"]["dirty"] is False
    assert record(dirty)["git"]["dirty"] is True
    assert len(record(dirty)["git"]["commit"]) == 40


def test_early_stopping_is_named(net, trainer):
    run = trainer(EarlyStopping("val_loss", stopping_threshold=10.0), max_epochs=9)
    run.fit(net(values=[1.0] * 9))
    assert record(run)["ended"].startswith("stopped early: ")
    assert "val_loss" in record(run)["ended"]


def test_a_request_to_stop_is_named(net, trainer):
    class Stop(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = True

    run = trainer(Stop(), max_epochs=9)
    run.fit(net())
    assert record(run)["ended"] == "stopped early: trainer.should_stop was set"


def test_a_failure_is_named(net, trainer):
    run = trainer(EarlyStopping("val_loss"))
    with pytest.raises(Exception, match="val_loss") as failure:
        run.fit(net_without_validation(net))
    assert record(run)["ended"] == f"failed: {failure.type.__name__}: {failure.value}"


def net_without_validation(net):
    class Silent(net):
        def validation_step(self, batch, batch_idx):
            pass

    return Silent()


def test_a_number_that_is_none_stays_valid_json(net, trainer):
    run = trainer(check_finite=False)
    run.fit(net(values=[float("nan"), float("inf")]))
    text = Path(run.log_dir, "run.json").read_text()
    written = json.loads(text, parse_constant=pytest.fail)
    assert written["metrics"]["val_loss"] == "inf"


def test_a_non_finite_loss_is_named(net, trainer):
    class Broken(net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * float("nan")

    run = trainer()
    with pytest.raises(NonFiniteError):
        run.fit(Broken())
    assert record(run)["ended"].startswith("failed: NonFiniteError: ")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_is_named(name, net, trainer):
    class Signal(L.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == 2:
                os.kill(os.getpid(), getattr(signal, name))

    run = trainer(Signal())
    with pytest.raises(SystemExit):
        run.fit(net())
    assert record(run)["ended"] == f"interrupted by {name}"


def test_a_run_that_goes_on_has_no_end(net, trainer):
    seen = []

    class Look(L.Callback):
        def on_train_start(self, trainer, pl_module):
            seen.append(record(trainer)["ended"])

    trainer(Look()).fit(net())
    assert seen == [None]


def test_entry_points_share_the_record(net, trainer):
    run = trainer()
    model = net()
    run.fit(model)
    run.test(model)
    written = record(run)
    assert {"train_loss", "test_loss"} <= written["metrics"].keys()
    assert written["ended"] == "completed"


def test_an_error_before_the_run_writes_nothing(net, trainer, folder):
    class Broken(net):
        def prepare_data(self):
            raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        trainer().fit(Broken())
    assert list(folder.rglob("run.json")) == []


def test_only_rank_0_writes(net, trainer, folder):
    run, written = trainer(), RunRecord()
    run.is_global_zero = False
    written.setup(run, net(), "fit")
    written.teardown(run, net(), "fit")
    assert list(folder.rglob("run.json")) == []


def test_no_temporary_file_is_left(net, trainer, folder):
    trainer().fit(net())
    assert [p.suffix for p in folder.rglob("run.*")] == [".json"]
