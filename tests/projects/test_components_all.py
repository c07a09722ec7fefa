"""Every component of every kind in one project: each works, and all go without a trace."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scaffold import catalog
from tests.projects.command import run
from tests.scaffold.components import add, opened, remove, snapshot

SOURCES = catalog.component("datamodule", "photos").questions["source"].choices
# The data module's own test can make data to train on.
MAKE = "import sys, test_{0}; test_{0}.make(test_{0}.Path(sys.argv[1]))"


class Component(NamedTuple):
    """What is added: `scaffold add KIND NAME`, with answers."""

    kind: str
    name: str
    answers: dict[str, Any] = {}

    @property
    def identifier(self) -> str:
        return self.name.replace("-", "_")


def every_component() -> list[Component]:
    """Each variant of each kind, and the data module from each source."""
    found = []
    for kind in catalog.kind_names():
        if kind == "datamodule":
            found += [Component(kind, f"from-{s}", {"source": s}) for s in SOURCES]
        else:
            found += [Component(kind, name) for name in catalog.kind(kind).variants]
    return found


def train_an_epoch(project: Path, component: Component) -> None:
    """Fit for one epoch, by the component's own config where it has one."""
    words = ["--config", "configs/debug.yaml"]
    config = f"configs/{component.identifier}.yaml"
    if (project / config).is_file():
        words += ["--config", config]
    source = component.answers.get("source")
    if source in ("folder", "csv", "parquet", "hf"):
        data = project / "runs" / component.identifier
        data.mkdir(parents=True)
        make = MAKE.format(component.identifier)
        run(project, "python", "-c", make, str(data), PYTHONPATH="tests:.")
        (path,) = data.iterdir()
        words += ["--data.init_args.path", str(path)]
    run(project, "python", "train.py", "fit", *words, "--trainer.max_epochs", "1")


def own_tests(project: Path, component: Component) -> list[str]:
    test = Path("tests", f"test_{component.identifier}.py")
    return [str(test)] if (project / test).is_file() else []


def grow_and_shrink(project: Path, components: Iterable[Component]) -> None:
    before = snapshot(project)
    run(project, "git", "init", "--quiet")
    run(project, "git", "add", "--all")
    for kind, members in groupby(components, key=lambda component: component.kind):
        for component in members:
            plan = add(kind, component.name, **component.answers)
            assert plan.exit_code == 0, plan.notes
            train_an_epoch(project, component)
            if tests := own_tests(project, component):
                run(project, "python", "-m", "pytest", "-q", *tests)
        run(project, "python", "-m", "pytest", "-q", timeout=3600)
    added = opened().record.components
    for there in random.Random(0).sample(added, len(added)):
        plan = remove(there.kind, there.name)
        assert (plan.exit_code, plan.notes) == (0, ())
    # What runs and tests leave behind is ignored by git: the rest is as it was.
    assert run(project, "git", "status", "--porcelain").splitlines() == [
        f"A  {path}" for path in sorted(before)
    ]


def test_all_together_pass_the_strict_type_check(growing: Path) -> None:
    for component in every_component():
        assert add(component.kind, component.name, **component.answers).exit_code == 0
    words = ("--strict", "--ignore-missing-imports", "train.py", "digits", "tests")
    run(growing, "python", "-m", "mypy", *words)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_each_is_added_trained_and_tested_and_all_are_removed(growing: Path) -> None:
    grow_and_shrink(growing, every_component())
