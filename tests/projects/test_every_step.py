"""A project's run, saved at every step and resumed from there, ends bitwise as it would have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from scaffold import catalog
from tests.projects.command import run
from tests.projects.conftest import Make
from tests.reliability.recorded_run import differences

SCRIPT = Path(__file__).with_name("every_step.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=catalog.task_names())
def project(request: pytest.FixtureRequest, make: Make) -> Path:
    """A project of each task, with a run of 2 epochs that was saved at every step."""
    folder = make({"task": request.param})
    (folder / "saved").mkdir()
    train(folder)
    return folder


def train(project: Path, *checkpoints: Path) -> None:
    """Run the script in a new process: the whole run, or the rest from checkpoints."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "runtime"), str(project)])
    words = [str(SCRIPT), str(project / "saved"), *map(str, checkpoints)]
    run(project, "python", *words, PYTHONPATH=path)


def check(project: Path, path: Path) -> None:
    """Compare how the resumed run ended, and the images that it saw, with the whole."""
    whole, resumed = (
        torch.load(file, weights_only=False)
        for file in (project / "saved" / "whole.pt", path.with_suffix(".pt"))
    )
    assert differences(whole["end"], resumed["end"]) == [], path.name
    again = len(resumed["seen"])
    assert resumed["seen"] == whole["seen"][len(whole["seen"]) - again :], path.name


def saved(project: Path) -> list[Path]:
    """The checkpoints of all steps."""
    return sorted((project / "saved").glob("*.ckpt"))


def test_each_image_is_seen_once_an_epoch(project: Path) -> None:
    seen = torch.load(project / "saved" / "whole.pt", weights_only=False)["seen"]
    assert len(saved(project)) == 16
    assert sorted(seen[:1211]) == sorted(seen[1211:]) == list(range(1211))
    assert seen[:1211] != seen[1211:]


def test_resumed_at_some_steps(project: Path) -> None:
    some = [saved(project)[step - 1] for step in (3, 8, 13)]
    train(project, *some)
    for path in some:
        check(project, path)


@pytest.mark.full
def test_resumed_at_every_step_by_a_new_process(project: Path) -> None:
    for path in saved(project):
        train(project, path)
        check(project, path)
