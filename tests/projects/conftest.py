"""Projects to use: each set of options is rendered once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold import catalog, tree
from scaffold.new import apply_new, plan_new
from scaffold.render import render
from tests.projects.command import run
from tests.projects.option_sets import Options, label

Render = Callable[[Options], tree.Tree]
Make = Callable[[Options], Path]


@pytest.fixture(scope="session")
def rendered() -> Render:
    """The files of a project, by its options; a classifier where they name no task."""
    done: dict[str, tree.Tree] = {}

    def files(options: Options) -> tree.Tree:
        if label(options) not in done:
            answers = {**options}
            task = catalog.task(answers.pop("task", "classifier"))
            done[label(options)] = render(
                task, task.answers(package="my_digits", **answers)
            )
        return done[label(options)]

    return files


@pytest.fixture(scope="session")
def make(rendered: Render, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a folder with a fresh project of the given options."""

    def project(options: Options) -> Path:
        folder = tmp_path_factory.mktemp("projects") / "my-digits"
        tree.write(rendered(options), folder)
        return folder

    return project


@pytest.fixture
def project(make: Make) -> Path:
    """A project of the default options, which the test may change."""
    return make({})


@pytest.fixture(scope="session")
def trained(make: Make) -> Path:
    """A project of the default options with one run of three epochs in it."""
    folder = make({})
    run(folder, "python", "train.py", "fit", "--trainer.max_epochs", "3")
    return folder


@pytest.fixture
def growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that components can be added to; it is the current folder."""
    folder = tmp_path / "digits"
    apply_new(plan_new(catalog.task("classifier"), folder, "digits", {}))
    monkeypatch.chdir(folder)
    return folder
