"""A small house of templates of our own, so that tests do not depend on the real ones."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

from scaffold import catalog, render, source, template, tree
from scaffold.new import apply_new, plan_new
from tests.scaffold.command_line import HOUSE, Result, Run


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fixture templates stand in for the real ones."""
    monkeypatch.setattr(source, "ROOT", HOUSE)
    return HOUSE


@pytest.fixture
def own_house(house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fixture templates that the test may change."""
    copy = tmp_path / "house"
    shutil.copytree(house, copy)
    monkeypatch.setattr(source, "ROOT", copy)
    return copy


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def scaffold(
    house: Path,
    cwd: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command line in this process, in an empty folder."""
    from scaffold.cli import main

    # As a console script: `python -m pytest` would be its name in the help otherwise.
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None, raising=False)

    def run(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["scaffold", *words])
        with pytest.raises(SystemExit) as exit:
            main()
        gc.enable()
        out, err = capsys.readouterr()
        code = exit.value.code
        assert isinstance(code, int) or code is None
        return Result(code or 0, out, err)

    return run


@pytest.fixture(scope="session")
def rendered() -> tree.Tree:
    """The fixture task with its default answers, rendered once."""
    root, source.ROOT = source.ROOT, HOUSE
    try:
        task = catalog.task("tiny")
        return render.render(task, task.answers(package="my_digits"))
    finally:
        source.ROOT = root


@pytest.fixture
def project(tiny: template.Template, cwd: Path) -> Path:
    """A project of the fixture task, just made, in the current folder."""
    apply_new(plan_new(tiny, cwd / "digits", "digits", {}))
    os.chdir(cwd / "digits")
    return cwd / "digits"


@pytest.fixture
def tiny(house: Path) -> template.Template:
    return catalog.task("tiny")
