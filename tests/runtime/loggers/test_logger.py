import copy
import warnings
from pathlib import Path

import pytest

from scaffold_runtime import loggers
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loggers import DummyLogger, Logger


class Broken(Logger):
    """A logger whose disk is full."""

    name = "broken"
    version = 0

    def log_metrics(self, metrics, step=None):
        raise OSError("disk full")

    def log_hyperparams(self, params):
        raise MisconfigurationError("give a token")

    def finalize(self, status):
        raise OSError("disk full")


def test_a_failing_logger_warns_once_a_method_and_goes_on():
    logger = Broken()
    with pytest.warns(UserWarning, match=r"Broken.log_metrics failed .*disk full"):
        logger.log_metrics({"a": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.log_metrics({"a": 1.0})
    with pytest.warns(UserWarning, match="Broken.finalize failed"):
        logger.finalize("success")


def test_two_failing_loggers_warn_each():
    for logger in (Broken(), Broken()):
        with pytest.warns(UserWarning, match="disk full"):
            logger.log_metrics({})


def test_what_the_user_can_put_right_is_raised():
    with pytest.raises(MisconfigurationError, match="give a token"):
        Broken().log_hyperparams({})


@pytest.mark.parametrize("kind", ["CSVLogger", "TensorBoardLogger", "MLFlowLogger"])
def test_a_logger_that_cannot_begin_does_not_end_the_run(
    make_trainer, net, tmp_path, kind
):
    blocked, fine = tmp_path / "a file", loggers.CSVLogger(tmp_path / "fine")
    blocked.write_text("where the folder would be")
    place = {"tracking_uri": "ftp://nowhere"} if kind == "MLFlowLogger" else {}
    first = place or {"save_dir": blocked / "runs"}
    logger = getattr(loggers, kind)(**first)

    class Draws(net):
        def on_train_epoch_end(self):
            self.logger.experiment.add_figure("a", None)

    trainer = make_trainer(logger=[logger, fine], max_epochs=1)
    with pytest.warns(UserWarning, match=f"{kind} could not begin") as warned:
        trainer.fit(Draws())
    assert len([w for w in warned if "could not begin" in str(w.message)]) == 1
    trainer.test(Draws())
    assert "val_loss" in Path(fine.log_dir, "metrics.csv").read_text()


def test_an_experiment_that_fails_does_not_end_the_run(make_trainer, net):
    class Away(Broken):
        @property
        def experiment(self):
            raise ConnectionError("no server")

    trainer = make_trainer(logger=Away(), max_epochs=1)
    with pytest.warns(UserWarning, match=r"Away.begin failed .*no server"):
        trainer.fit(net())
    assert trainer.state.finished


def test_a_dummy_logger_takes_any_call():
    logger = DummyLogger()
    logger.log_metrics({"a": 1}, step=0)
    logger.experiment.add_image("x", [[0]])
    logger.experiment[0].anything()
    logger.experiment["x"] = 1
    logger[0].watch("model")
    assert (logger.name, logger.version, logger.save_dir) == ("", "", None)
    copy.deepcopy(logger).log_metrics({})


def test_the_other_ranks_get_an_experiment_that_does_nothing(monkeypatch, tmp_path):
    from scaffold_runtime.loggers import CSVLogger

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    logger = CSVLogger(tmp_path)
    logger.log_metrics({"a": 1})
    logger.log_hyperparams({"b": 1})
    logger.experiment.anything()
    logger.finalize("success")
    assert list(tmp_path.iterdir()) == []
