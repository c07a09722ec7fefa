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
PACKAGES = {"parquet": "pyarrow", "hf": "datasets"}
FIT = ["python", "train.py", "fit", "--config", "configs/debug.yaml"]


@pytest.mark.parametrize("source", SOURCES)
def test_its_own_tests_pass(source: str, growing: Path) -> None:
    add("datamodule", "flowers", source=source)
    run(growing, "python", "-m", "pytest", "-q", "tests/test_flowers.py")
    needed = (growing / "pyproject.toml").read_text()
    assert {p for p in PACKAGES.values() if p in needed} == (
        {PACKAGES[source]} if source in PACKAGES else set()
    )


LOOK = """
import io, sys
from pathlib import Path
import datasets
from PIL import Image
from pyarrow import parquet, table
from scaffold_runtime import DataError
from digits import hf, rows, sheet

BOMB = io.BytesIO()
Image.new("1", (20000, 20000)).save(BOMB, "PNG")
PICTURE = [Image.new("L", (2, 2))]


def csv(content):
    path = Path("bad.csv")
    path.write_bytes(content)
    sheet.read(path, None)


def columns(**columns):
    parquet.write_table(table(columns), "bad.parquet")
    rows.read(Path("bad.parquet"), None)


def saved(number, **columns):
    datasets.Dataset.from_dict(columns).save_to_disk(f"bad{number}")
    hf.read(Path(f"bad{number}"), None)


for look in (
    lambda: csv(b""),
    lambda: csv(b"label,pixel"),
    lambda: csv(b"label\\n\\n"),
    lambda: csv(b"label\\na\\n"),
    lambda: csv(b"label,pixel\\na,256"),
    lambda: csv(b"label,pixel\\na,-1"),
    lambda: csv(b"label,pixel\\na," + b"9" * 30),
    lambda: csv(b"label,pixel\\na,1\\nb,1,2"),
    lambda: csv(b"label,pixel\\na," + b"9" * 200000),
    lambda: csv(bytes(range(256))),
    lambda: sheet.read(Path("none.csv"), None),
    lambda: rows.read(Path("bad.csv"), None),
    lambda: rows.read(Path("none.parquet"), None),
    lambda: columns(image=[], label=[]),
    lambda: columns(image=[b"no image"], label=["a"]),
    lambda: columns(image=[None], label=["a"]),
    lambda: columns(image=[BOMB.getvalue()], label=["a"]),
    lambda: columns(picture=[b""], label=["a"]),
    lambda: hf.read(Path("none"), None),
    lambda: saved(0, image=[], label=[]),
    lambda: saved(1, image=PICTURE),
    lambda: saved(2, picture=PICTURE, label=["a"]),
    lambda: saved(3, image=[b"no image"], label=["a"]),
    lambda: saved(4, image=[*PICTURE, None], label=["a", "b"]),
):
    try:
        look()
    except DataError as error:
        assert "\\n" not in str(error) and str(error).endswith("."), error
    else:
        sys.exit("this was read")
"""


def test_what_cannot_be_read_is_refused_in_one_sentence(growing: Path) -> None:
    for name, source in {"sheet": "csv", "rows": "parquet", "hf": "hf"}.items():
        add("datamodule", name, source=source)
    run(growing, "python", "-c", LOOK, HF_HUB_OFFLINE="1", HF_HOME=str(growing))


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
