import subprocess
import sys

import pytest

from tests.scaffold.command_line import HOUSE, Run

# Typer itself imports pydantic to convert the first option that it meets.
HEAVY = ("copier", "black", "jinja2", "torch", "rich", "ruamel")


@pytest.mark.parametrize(
    "words", [["--help"], ["new", "--help"], ["list"], ["--version"]]
)
def test_nothing_heavy_is_imported_at_start(words: list[str]) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom scaffold import source\n"
        f"from scaffold.cli import main\nsource.ROOT = Path({str(HOUSE)!r})\n"
        "try:\n    main()\nfinally:\n"
        f"    print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[]"


def test_python_m_scaffold() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scaffold", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("torch-scaffold ")


@pytest.mark.parametrize("words", [[], ["new"]])
def test_without_a_command_the_help_is_the_answer(
    scaffold: Run, words: list[str]
) -> None:
    done = scaffold(*words)
    assert done.code == 2
    assert done.err.startswith("Usage: scaffold")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nwe"], "nwe"),
        (["list", "--jsno"], "--jsno"),
        (["show"], "NAME"),
        (["list", "extra"], "extra"),
    ],
)
def test_a_bad_command_line_is_one_sentence(
    scaffold: Run, words: list[str], message: str
) -> None:
    done = scaffold(*words)
    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert message in done.err


def test_interruption(scaffold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scaffold.catalog.task_names", interrupt)
    done = scaffold("list")
    assert done.code == 130
    assert "Traceback" not in done.err
