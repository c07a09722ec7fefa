import copy
import warnings

import pytest

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
