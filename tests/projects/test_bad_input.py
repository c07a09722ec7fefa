"""Bad input to a generated project: one sentence, no traceback, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.projects.command import run


def refusal(project: Path, *arguments: str, code: int) -> str:
    """What `train.py` says to arguments that it cannot take."""
    said = run(project, "python", "train.py", *arguments, code=code)
    assert "Traceback" not in said
    assert not (project / "runs").exists()
    return said


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of images of two classes."""
    folder = tmp_path / "photos"
    for name, colour in (("cat", "red"), ("dog", "blue")):
        (folder / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (8, 8), colour).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--trainer.max_epoch=3", "max_epochs"),
        ("--model.drop_out=0.1", "dropout"),
        ("--data.batchsize=3", "batch_size"),
    ],
)
def test_an_unknown_key_gets_the_one_that_was_meant(
    argument: str, named: str, project: Path
) -> None:
    said = refusal(project, "fit", argument, code=2)
    assert named in said


def test_an_unknown_key_in_a_config_is_named(project: Path) -> None:
    (project / "configs" / "mine.yaml").write_text("model:\n  drop_out: 0.1\n")
    assert "drop_out" in refusal(project, "fit", "--config=configs/mine.yaml", code=2)


@pytest.mark.parametrize(
    "argument",
    ["--data.batch_size=many", "--trainer.max_epochs=soon", "--model.widths=8"],
)
def test_a_value_of_the_wrong_type_is_named(argument: str, project: Path) -> None:
    key, value = argument.removeprefix("--").split("=")
    said = refusal(project, "fit", argument, code=2)
    assert key.split(".")[1] in said
    assert value in said


def test_a_missing_config_is_named(project: Path) -> None:
    assert "nowhere.yaml" in refusal(project, "fit", "--config=nowhere.yaml", code=2)


def test_a_missing_data_folder_is_named(project: Path) -> None:
    assert "no folder nowhere" in refusal(project, "fit", "--data.path=nowhere", code=1)


def test_an_empty_class_folder_is_named(project: Path, photos: Path) -> None:
    (photos / "owl").mkdir()
    said = refusal(project, "fit", f"--data.path={photos}", code=1)
    assert f"{photos / 'owl'} has no images" in said


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_named(
    workers: int, project: Path, photos: Path
) -> None:
    for image in (photos / "dog").iterdir():
        image.write_bytes(b"no image")
    source = [f"--data.path={photos}", f"--data.workers={workers}"]
    said = run(project, "python", "train.py", "fit", *source, code=1)
    assert "Traceback" not in said
    assert f"{photos / 'dog'}" in said
    assert "cannot be read" in said


def test_a_missing_checkpoint_is_named(project: Path) -> None:
    assert "none.ckpt" in refusal(project, "test", "--ckpt_path=none.ckpt", code=1)


def test_a_batch_that_the_processes_cannot_share_is_refused(project: Path) -> None:
    odd = ["--data.batch_size=7", "--trainer.devices=2"]
    said = run(project, "python", "train.py", "fit", *odd, code=1)
    assert "a positive multiple of the number of processes, 2, and it is 7" in said
