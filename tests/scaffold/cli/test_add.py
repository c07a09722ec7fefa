import json
from pathlib import Path

import pytest

from tests.scaffold.command_line import Run
from tests.scaffold.components import config, snapshot


@pytest.fixture
def made(scaffold: Run, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project made by the command line, and the current folder deep in it."""
    assert scaffold("new", "tiny", "digits").code == 0
    monkeypatch.chdir(cwd / "digits" / "configs")
    return cwd / "digits"


def test_it_works_in_any_folder_of_the_project(scaffold: Run, made: Path) -> None:
    done = scaffold("add", "callback", "grad-norm", "--hook", "on_fit_end")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "modify  configs/default.yaml",
        "create  digits/callbacks/grad_norm.py",
        "create  tests/test_grad_norm.py",
    ]


def test_without_a_name_the_variants_are_named(scaffold: Run, made: Path) -> None:
    done = scaffold("add", "callback")
    assert done.code == 0
    assert done.out.splitlines()[0] == "variants: early-stopping, starter"
    assert (made / "digits" / "callbacks" / "starter.py").is_file()


def test_a_variants_name_may_have_underscores(scaffold: Run, made: Path) -> None:
    assert scaffold("add", "callback", "early_stopping").out == (
        "modify  configs/default.yaml\n"
    )


def test_a_name_that_is_nearly_a_variants_is_told(scaffold: Run, made: Path) -> None:
    done = scaffold("add", "callback", "early-stoping")
    assert done.out.splitlines()[0] == (
        "early-stoping is a callback of your own; a variant is called early-stopping."
    )
    assert (made / "digits" / "callbacks" / "early_stoping.py").is_file()
    assert json.loads(scaffold("add", "callback", "early-stopin", "--json").out)


def test_what_is_to_be_installed_is_told(scaffold: Run, made: Path) -> None:
    """From a folder of the project, as it works when typed there."""
    done = scaffold("add", "logger", "wandb")
    assert done.out.splitlines()[-2:] == [
        "Next:",
        "  pip install -r ../requirements.txt",
    ]
    assert "Next:" not in scaffold("add", "callback").out
    assert "Next:" not in scaffold("add", "logger", "wandb").out


def test_flags_and_sets_are_answers(scaffold: Run, made: Path) -> None:
    words = (
        "add",
        "callback",
        "early-stopping",
        "--patience",
        "9",
        "--set",
        "monitor=x",
    )
    assert scaffold(*words).code == 0
    [callback] = config(made)["trainer"]["callbacks"]
    assert callback["init_args"] == {"monitor": "x", "patience": 9}


def test_help_says_which_variant_asks_what(scaffold: Run, made: Path) -> None:
    text = " ".join(scaffold("add", "callback", "--help").out.split())
    assert "[early-stopping: 3]" in text


@pytest.mark.parametrize("preview", ["--dry-run", "--diff"])
def test_a_preview_writes_nothing(scaffold: Run, made: Path, preview: str) -> None:
    before = snapshot(made)
    done = scaffold("add", "callback", "grad-norm", preview)
    assert done.code == 0
    assert "digits/callbacks/grad_norm.py" in done.out
    assert snapshot(made) == before
    assert not (made / ".scaffold" / "undo").exists()


def test_json(scaffold: Run, made: Path) -> None:
    shown = json.loads(scaffold("add", "callback", "grad-norm", "--json").out)
    assert shown["component"] == "callback grad-norm"
    assert "configs/default.yaml" in [o["path"] for o in shown["operations"]]


def test_without_an_anchor_the_exit_code_is_3(scaffold: Run, made: Path) -> None:
    (made / "configs" / "default.yaml").write_text("x: 1\n")
    done = scaffold("add", "callback", "grad-norm")
    assert done.code == 3
    assert "- class_path: digits.callbacks.grad_norm.GradNorm" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["calback"], "did you mean 'callback'"),
        (["callback", "x", "--from", "strater"], "did you mean 'starter'"),
        (["callback", "x", "--set", "colour=red"], "asks no question 'colour'"),
        (["callback", "x", "--patience", "9"], "asks no question 'patience'"),
        (["callback", "x", "--hook", "on_fit"], "did you mean"),
        (["callback", "a b"], "is no name"),
        (["callback", "x", "y"], "y"),
    ],
)
def test_bad_input_is_one_sentence(
    scaffold: Run, made: Path, words: list[str], message: str
) -> None:
    before = snapshot(made)
    done = scaffold("add", *words)
    assert (done.code, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert message in line
    assert snapshot(made) == before


def test_outside_a_project(scaffold: Run, cwd: Path) -> None:
    done = scaffold("add", "callback")
    assert done.code == 2
    assert "in no project" in done.err
