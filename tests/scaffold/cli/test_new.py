import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold import toml_reader, tree
from tests.scaffold.command_line import Run, files_under, start


def answers_of(folder: Path) -> dict[str, object]:
    text = (folder / ".scaffold" / "project.toml").read_text()
    answers: dict[str, object] = toml_reader.loads(text)["answers"]
    return answers


def test_the_folder_is_called_like_the_task(scaffold: Run, cwd: Path) -> None:
    done = scaffold("new", "tiny")
    assert done.code == 0
    assert (cwd / "tiny" / "tiny" / "model.py").is_file()


def test_output_is_one_line_and_the_next_three_commands(scaffold: Run) -> None:
    assert scaffold("new", "tiny", "my-digits").out.splitlines() == [
        "Made my-digits: 8 files. Next:",
        "  cd my-digits",
        "  pip install -r requirements.txt",
        "  python train.py fit",
    ]


def test_the_first_command_works_as_printed(scaffold: Run, cwd: Path) -> None:
    out = scaffold("new", "tiny", "it's mine; ls", "--name", "mine").out
    command = out.splitlines()[1].strip()
    done = subprocess.run(
        f"{command} && pwd", shell=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{cwd}/it's mine; ls"


def test_the_package_can_have_another_name(scaffold: Run, cwd: Path) -> None:
    assert scaffold("new", "tiny", "my digits", "--name", "digits").code == 0
    assert (cwd / "my digits" / "digits" / "model.py").is_file()


def test_a_flag_wins_over_set_and_set_over_the_file(scaffold: Run, cwd: Path) -> None:
    (cwd / "answers.yaml").write_text("width: 16\ntitle: file\nrate: 0.5\n")
    words = (
        "new tiny x --answers answers.yaml --set width=32 --set title=set --width 64"
    )
    assert scaffold(*words.split()).code == 0
    answers = answers_of(cwd / "x")
    assert (answers["width"], answers["title"], answers["rate"]) == (64, "set", 0.5)


def test_every_question_is_a_flag(scaffold: Run, cwd: Path) -> None:
    done = scaffold(
        *("new", "tiny", "x", "--no-launchers", "--title", "T", "--width", "8"),
        *("--rate", "1", "--data", "folder", "--hooks", "on_fit_end"),
        *("--hooks", "on_fit_start"),
    )
    assert done.code == 0
    assert answers_of(cwd / "x") == {
        "launchers": False,
        "title": "T",
        "width": 8,
        "rate": 1.0,
        "data": "folder",
        "hooks": ["on_fit_end", "on_fit_start"],
    }


@pytest.mark.parametrize("preview", ["--dry-run", "--diff"])
def test_a_preview_writes_nothing(scaffold: Run, cwd: Path, preview: str) -> None:
    done = scaffold("new", "tiny", "x", preview)
    assert done.code == 0
    assert "train.py" in done.out
    assert list(cwd.iterdir()) == []


def test_json_lists_what_is_there_afterwards(scaffold: Run, cwd: Path) -> None:
    shown = json.loads(scaffold("new", "tiny", "x", "--json").out)
    assert [o["path"] for o in shown["operations"]] == list(tree.read(cwd / "x"))
    assert shown["next"][0] == "cd x"
    preview = json.loads(scaffold("new", "tiny", "y", "--dry-run", "--json").out)
    assert len(preview["operations"]) == len(shown["operations"])


def test_without_the_runtime(scaffold: Run, cwd: Path) -> None:
    assert scaffold("new", "tiny", "x", "--no-vendor-runtime").code == 0
    assert not (cwd / "x" / "vendor").exists()


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["tinny"],
        ["tiny", "x", "--set", "depth=3"],
        ["tiny", "x", "--set", "width=wide"],
        ["tiny", "x", "--set", "width"],
        ["tiny", "x", "--width", "wide"],
        ["tiny", "x", "--width", "4"],
        ["tiny", "x", "--data", "nowhere"],
        ["tiny", "x", "--title", "two\nlines"],
        ["tiny", "x", "--title", LONG + "x"],
        ["tiny", "x", "--hooks", "on_fit"],
        ["tiny", "x", "--widht", "4"],
        ["tiny", "x", "y"],
        ["tiny", "x", "--answers", "none.yaml"],
        ["tiny", "x", "--answers", "broken.yaml"],
        ["tiny", "x", "--answers", "."],
        ["tiny", ""],
        ["tiny", "."],
        ["tiny", ".."],
        ["tiny", "/"],
        ["tiny", "my digits"],
        ["tiny", "my.digits"],
        ["tiny", "digits\nimport os"],
        ["tiny", "{{ 7 * 7 }}"],
        ["tiny", "ziffern😀"],
        ["tiny", "'quoted'"],
        ["tiny", LONG],
        ["tiny", "torch"],
        ["tiny", "json"],
        ["tiny", "class"],
        ["tiny", "train"],
        ["tiny", "x", "--name", "my-digits"],
        ["tiny", "x", "--name", "a/b"],
        ["tiny", "x", "--name", "{{ x }}"],
        ["tiny", "x", "--name", ""],
        ["tiny", "x", "--name", LONG],
        ["tiny", "full"],
        ["tiny", "broken.yaml"],
        ["tiny", "broken.yaml/x"],
        ["tiny", "link"],
        ["tiny", "loop"],
        ["tiny", LONG, "--name", "digits"],
        ["tiny", "nul\x00byte", "--name", "digits"],
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    scaffold: Run, cwd: Path, words: list[str]
) -> None:
    (cwd / "broken.yaml").write_text("width: [")
    (cwd / "full").mkdir()
    (cwd / "full" / "mine.txt").write_text("mine")
    (cwd / "link").symlink_to("full")
    (cwd / "loop").symlink_to("loop")
    before = files_under(cwd.parent)
    done = scaffold("new", *words)
    assert done.code in (1, 2)
    assert done.out == ""
    [line] = done.err.splitlines()
    assert line.startswith("scaffold: ")
    assert line.isprintable()
    assert files_under(cwd.parent) == before


def test_nothing_prompts_when_stdin_is_no_terminal(cwd: Path) -> None:
    process = start("new", "tiny", cwd=cwd)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "[" not in out


def complete(line: str, cwd: Path) -> list[str]:
    env = {
        **os.environ,
        "_SCAFFOLD_COMPLETE": "complete_bash",
        "COMP_WORDS": f"scaffold {line}",
        "COMP_CWORD": str(len(line.split(" "))),
    }
    program = (
        "import sys; from pathlib import Path; from scaffold import source\n"
        f"source.ROOT = Path({str(Path(__file__).parents[1] / 'house')!r})\n"
        "from scaffold.cli import app; app(prog_name='scaffold')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("n", ["new"]),
        ("new ", ["tiny"]),
        ("show ti", ["tiny"]),
        ("add cal", ["callback"]),
        ("add callback ea", ["early-stopping"]),
        ("add callback x --from s", ["starter"]),
        ("remove l", ["logger"]),
        ("remove logger ", []),
        ("new tiny --wi", ["--width"]),
        ("new tiny --data f", ["folder"]),
    ],
)
def test_shell_completion_knows_the_templates(
    cwd: Path, line: str, words: list[str]
) -> None:
    assert complete(line, cwd) == words
