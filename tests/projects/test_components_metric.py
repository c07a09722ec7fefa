"""`scaffold add metric`: the module logs it, for one process as for two."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.projects.command import run
from tests.scaffold.components import add, remove

EXACT = ["--model.dropout=0", "--data.degrees=0", "--data.shift=0", "--data.zoom=0"]
DEBUG = ["--config", "configs/debug.yaml", *EXACT]


def logged(project: Path, name: str) -> list[float]:
    """The values of a metric in the newest run."""
    newest = max(project.glob("runs/version_*/metrics.csv"))
    with newest.open() as table:
        return [float(row[name]) for row in csv.DictReader(table) if row[name]]


def test_two_processes_log_what_one_does(growing: Path) -> None:
    add("metric", "fair-accuracy")
    add("metric")
    run(growing, "python", "train.py", "fit", *DEBUG)
    one = logged(growing, "val_fair_accuracy")
    run(growing, "bash", "launch/ddp.sh", "2", *DEBUG)
    assert len(one) == 2
    assert logged(growing, "val_fair_accuracy") == pytest.approx(one)
    assert logged(growing, "val_balanced_accuracy") == pytest.approx(one)


def test_its_own_tests_pass(growing: Path) -> None:
    add("metric", "fair-accuracy")
    run(growing, "python", "-m", "pytest", "-q", "tests/test_fair_accuracy.py")


def test_a_module_that_was_edited_keeps_the_edit(growing: Path) -> None:
    model = growing / "digits" / "model.py"
    edited = model.read_text().replace("import math\n", "import math  # mine\n")
    add("metric", "one")
    add("metric", "two")
    model.write_text(
        model.read_text().replace("import math\n", "import math  # mine\n")
    )
    remove("metric", "one")
    assert "One(len(classes))" not in model.read_text()
    assert "torchmetrics" in (growing / "pyproject.toml").read_text()
    remove("metric", "two")
    assert model.read_text() == edited
    assert "torchmetrics" not in (growing / "pyproject.toml").read_text()
