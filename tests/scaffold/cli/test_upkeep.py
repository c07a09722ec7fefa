import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scaffold import fault, journal, source
from tests.scaffold.command_line import Run, start
from tests.scaffold.components import snapshot

MODEL = "{{ package }}/model.py"


@pytest.fixture
def made(own_house: Path, project: Path) -> Path:
    """A project whose templates have changed since."""
    files = own_house / "templates" / "tasks" / "tiny" / "files"
    text = (files / MODEL).read_text()
    (files / MODEL).write_text(text.replace("class Model", "class Network"))
    (files / "new.txt").write_text("new\n")
    return project


@pytest.fixture
def run(made: Path, scaffold: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(made)
    return scaffold


def test_status(run: Run, made: Path) -> None:
    (made / "train.py").write_text("mine\n")
    done = run("status")
    assert done.code == 0
    assert done.out.splitlines() == [
        "tiny project, 11 files as generated.",
        "  edited  train.py",
        "An update is there: see `scaffold update --dry-run`.",
    ]
    assert run("status", "--exit-code").code == 2
    assert json.loads(run("status", "--json").out)["files"]["train.py"] == "edited"


def test_diff(run: Run, made: Path) -> None:
    (made / "train.py").write_text("mine\n")
    assert "+mine" in run("diff", "train.py").out.splitlines()
    assert "+class Network:" in run("diff", "--incoming").out.splitlines()
    assert run("diff", "..").code == 2


def test_update(run: Run, made: Path) -> None:
    checked = run("update", "--check")
    assert checked.code == 2
    assert checked.out == "An update is there: see `scaffold update --dry-run`.\n"
    assert json.loads(run("update", "--check", "--json").out) == {"update": True}
    assert "create  new.txt" in run("update", "--dry-run").out
    assert not (made / "new.txt").exists()
    done = run("update")
    assert done.code == 0
    assert done.out.splitlines()[-1] == (
        "2 updated, 0 merged, 0 kept, 0 conflicts, 0 yours now."
    )
    assert run("update", "--check").code == 0
    assert run("status", "--exit-code").code == 0


def test_a_conflict_is_exit_code_4(run: Run, made: Path) -> None:
    model = made / "digits" / "model.py"
    model.write_text(model.read_text().replace("class Model", "class Mine"))
    assert run("update").code == 4
    assert "<<<<<<< yours" in model.read_text()


def test_history_and_undo(run: Run, made: Path) -> None:
    before = snapshot(made)
    run("add", "callback", "grad-norm")
    run("update")
    assert run("history").out.splitlines() == [
        "  1  update",
        "  2  add callback grad-norm",
    ]
    assert "delete  new.txt" in run("undo", "--dry-run").out
    assert run("undo", "2").code == 0
    assert snapshot(made) == before
    assert run("undo").code == 2


def test_remove(run: Run, made: Path) -> None:
    before = snapshot(made)
    run("add", "callback", "grad-norm")
    assert run("remove", "callback", "grad-norm").code == 0
    assert snapshot(made) == before
    done = run("remove", "callback", "grad-norm")
    assert (done.code, done.out) == (2, "")


def damage(made: Path) -> None:
    (made / ".scaffold" / "lock" / "project.json").write_text("{")


@pytest.mark.parametrize(
    "words",
    [["status"], ["diff"], ["update"], ["add", "callback"], ["update", "--check"]],
)
def test_a_damaged_lock_is_one_sentence(run: Run, made: Path, words: list[str]) -> None:
    damage(made)
    before = snapshot(made)
    done = run(*words)
    assert (done.code, done.out) == (1, "")
    assert "lock/project.json is damaged" in done.err
    assert snapshot(made) == before


# Killed at any moment, a project is wholly old or wholly new after the next command.

POINTS = [point for point in fault.POINTS if point.startswith("journal.")]
COMMANDS = {"add": ["add", "callback", "grad-norm"], "update": ["update"]}


def outcome(made: Path, words: list[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the project before and after a command, put back to before."""
    before = snapshot(made)
    finished(words, made)
    after = snapshot(made)
    finished(["undo"], made)
    assert snapshot(made) == before
    return before, after


def finished(
    words: list[str], made: Path, wanted: str | None = None
) -> tuple[int, str]:
    env = {**os.environ, **({"SCAFFOLD_FAULT": wanted} if wanted else {})}
    process = start(*words, cwd=made, env=env, house=source.ROOT)
    _, error = process.communicate(timeout=120)
    return process.returncode, error


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_every_crash_point(made: Path, command: str) -> None:
    words = COMMANDS[command]
    before, after = outcome(made, words)
    for point in POINTS:
        code, _ = finished(words, made, f"{point}:1")
        assert code == -signal.SIGKILL, point
        pending = journal.is_pending(made)
        _, error = finished(["status"], made)
        assert not journal.is_pending(made)
        there = snapshot(made)
        if point in ("journal.staging", "journal.staged"):
            assert there == before
            assert not pending or "before it changed anything" in error
        else:
            assert there == after
            assert not pending or "finished the interrupted" in error
            assert finished(["undo"], made)[0] == 0
            assert snapshot(made) == before


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_every_pass_of_replacing(made: Path, command: str) -> None:
    words = COMMANDS[command]
    before, after = outcome(made, words)
    number = 1
    while finished(words, made, f"journal.replacing:{number}")[0] == -signal.SIGKILL:
        finished(["status"], made)
        assert snapshot(made) == after
        finished(["undo"], made)
        assert snapshot(made) == before
        number += 1
    assert number > 3


def kill_at_random_moments(made: Path, words: list[str], count: int) -> None:
    before, after = outcome(made, words)
    started = time.monotonic()
    finished([*words, "--dry-run"], made)
    duration = time.monotonic() - started
    chance = random.Random(0)
    for _ in range(count):
        process = start(*words, cwd=made, house=source.ROOT)
        time.sleep(chance.uniform(0.6, 1.2) * duration)
        process.kill()
        process.communicate()
        finished(["status"], made)
        there = snapshot(made)
        assert there in (before, after)
        if there == after:
            finished(["undo"], made)


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_random_moments(made: Path, command: str) -> None:
    kill_at_random_moments(made, COMMANDS[command], 3)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_fifty_random_moments(made: Path, command: str) -> None:
    kill_at_random_moments(made, COMMANDS[command], 50)


def test_of_two_adds_at_once_none_corrupts(made: Path) -> None:
    names = ["one", "two"]
    racers = [
        start("add", "callback", name, cwd=made, house=source.ROOT) for name in names
    ]
    errors = [racer.communicate(timeout=120)[1] for racer in racers]
    won = [
        name for name, racer in zip(names, racers, strict=True) if not racer.returncode
    ]
    assert won
    for error, racer in zip(errors, racers, strict=True):
        assert not racer.returncode or "at work" in error
    record = (made / ".scaffold" / "project.toml").read_text()
    config = (made / "configs" / "default.yaml").read_text()
    for name in names:
        there = [f'"{name}"' in record, f"callbacks.{name}." in config]
        there.append((made / "digits" / "callbacks" / f"{name}.py").is_file())
        assert there == [name in won] * 3


def test_status_needs_no_git(
    run: Run, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    assert run("status").code == 0
    assert run("update").code == 0
