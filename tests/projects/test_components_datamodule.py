"""`scaffold add datamodule`: each source is read, and the model trains on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scaffold import catalog, render
from scaffold.generation import generate_component
from scaffold.state import Component, Record
from tests.projects.command import run
from tests.scaffold.components import add, remove, snapshot

PHOTOS = catalog.component("datamodule", "photos")
SOURCES = PHOTOS.questions["source"].choices
FIT = ["python", "train.py", "fit", "--config", "configs/debug.yaml"]


@pytest.mark.parametrize("source", SOURCES)
def test_its_own_tests_pass(source: str, growing: Path) -> None:
    if source == "parquet":
        pytest.importorskip("pyarrow")
    add("datamodule", "flowers", source=source)
    run(growing, "python", "-m", "pytest", "-q", "tests/test_flowers.py")
    needed = (growing / "pyproject.toml").read_text()
    assert ("pyarrow" in needed) == (source == "parquet")


def test_a_config_trains_on_it_and_the_default_stays(growing: Path) -> None:
    add("datamodule", "drawn", source="synthetic")
    add("datamodule", "numbers", source="idx")
    for name, classes in {"drawn": 3, "numbers": 10}.items():
        own = ["--config", f"configs/{name}.yaml", "--trainer.limit_test_batches=1.0"]
        run(growing, *FIT, *own)
        debug = ["--config", "configs/debug.yaml"]
        test = ["python", "train.py", "test", *debug, *own, "--ckpt_path", "best"]
        report = run(growing, *test)
        # A line of the table for each class.
        assert len(re.findall(r"^\w+ +[01]\.\d+ ", report, re.M)) == classes, report
    run(growing, *FIT)


def test_one_of_two_can_go(growing: Path) -> None:
    before = snapshot(growing)
    add("datamodule", "drawn", source="synthetic")
    one = snapshot(growing)
    add("datamodule", "numbers", source="idx")
    remove("datamodule", "numbers")
    assert snapshot(growing) == one
    remove("datamodule", "drawn")
    assert snapshot(growing) == before


@pytest.mark.parametrize("source", SOURCES)
def test_black_has_nothing_to_do(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record("classifier", "0", "0", "my_digits", True, {})
    component = Component("datamodule", "photos", "photos", {"source": source})
    formatted = generate_component(record, component, PHOTOS)
    monkeypatch.setattr(render, "format_tree", lambda files: files)
    assert generate_component(record, component, PHOTOS) == formatted
