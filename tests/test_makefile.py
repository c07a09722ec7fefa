"""`make` on a machine where something is missing says what, and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("awk", "cat", "env", "make", "mkdir", "sed", "sh", "touch")


@pytest.fixture
def clone(tmp_path):
    """What make reads, in a folder of its own."""
    folder = tmp_path / "clone"
    (folder / "runtime").mkdir(parents=True)
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(clone, *words, **environment):
    """Run make without what a surrounding make or environment would tell it."""
    kept = {key: os.environ[key] for key in os.environ if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *words],
        cwd=clone,
        env=kept | environment,
        capture_output=True,
        text=True,
    )


def script(path, text):
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fails_saying(result, sentence, clone):
    assert result.returncode == 2
    assert sentence in result.stderr
    assert not (clone / ".venv" / ".torch").exists()
    assert not (clone / "demo").exists()


@pytest.mark.parametrize("word", ["demo", "test"])
def test_no_python(word, clone, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    result = make(clone, word, PATH=str(tools))
    fails_saying(result, "make: no Python >= 3.10 here. Install one", clone)
    assert not (clone / ".venv").exists()


def test_a_python_that_is_too_old(clone, tmp_path):
    old = script(tmp_path / "python", "exit 1")
    result = make(clone, "demo", f"PYTHON={old}")
    fails_saying(result, f"make: no Python >= 3.10 here ({old} is none)", clone)


def test_the_first_python_that_works_is_taken(clone, tmp_path):
    """A shim named python3 that only complains, as version managers leave."""
    script(tmp_path / "python3", "echo not installed >&2; exit 127")
    (tmp_path / "python3.10").symlink_to(sys.executable)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    shown = make(clone, "-n", "demo", PATH=path).stdout
    assert "'python3' -m venv" not in shown
    assert "-m venv --clear .venv" in shown


def test_no_venv_module(clone, tmp_path):
    bare = f'case "$*" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    python = script(tmp_path / "python", bare)
    result = make(clone, "demo", f"PYTHON={python}")
    fails_saying(result, f"make: {python} cannot make virtual environments", clone)


def test_no_network(clone):
    result = make(
        clone,
        "demo",
        f"PYTHON={sys.executable}",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS="",
        PIP_CONFIG_FILE=os.devnull,
    )
    fails_saying(result, "make: the packages could not be installed", clone)
    assert "Downloading torch" in result.stdout


def test_an_environment_whose_python_has_gone_is_made_anew(clone):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    for stamp in (".torch", ".packages", ".tools"):
        (clone / ".venv" / stamp).touch()
    assert "-m venv --clear .venv" in make(clone, "-n", "test").stdout
