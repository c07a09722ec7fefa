import sys

import pytest

from scaffold_runtime.cli import CLI
from tests.runtime.cli.project import Data, OwnOptimizer

QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test runs in a folder of its own, and its hooks and seeds stay in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py")])
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    return tmp_path


@pytest.fixture
def parse():
    """The objects that words or a config make, without a run."""

    def make(*words, model=OwnOptimizer, data=Data, cli=CLI, **arguments):
        return cli(model, data, args=list(words), run=False, **arguments)

    return make


@pytest.fixture
def command():
    """Run a command, quietly."""

    def run(*words, model=OwnOptimizer, data=Data, cli=CLI, **arguments):
        return cli(model, data, args=[words[0], *QUIET, *words[1:]], **arguments)

    return run


@pytest.fixture
def refusal(parse, capsys):
    """The one sentence that words or a config are refused with, and code 2."""

    def refuse(*words, **arguments):
        with pytest.raises(SystemExit) as end:
            parse(*words, **arguments)
        assert end.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert said.err.endswith((".\n", "?\n"))
        return said.err.strip()

    return refuse
