"""A user's own images are one changed line."""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path

import pytest
from PIL import Image

from tests.projects.command import metric, run


def photos(folder: Path) -> None:
    """RGB photographs of several sizes: a red and a blue class."""
    noise = random.Random(0)
    for name, tint in (("blue", (0, 0, 150)), ("red", (150, 0, 0))):
        (folder / name).mkdir(parents=True)
        for i in range(40):
            size = (20 + i % 5, 24)
            pixels = bytes(
                c + noise.randrange(100) for _ in range(size[0] * size[1]) for c in tint
            )
            Image.frombytes("RGB", size, pixels).save(folder / name / f"{i}.jpg")


def idx(folder: Path) -> None:
    """Files named, sized and compressed like MNIST's: lines across or down."""
    folder.mkdir()
    noise = random.Random(0)
    for prefix, count in (("train", 80), ("t10k", 20)):
        labels = bytes(i % 2 for i in range(count))
        pixels = bytes(
            noise.randrange(100) + 150 * ((column if label else row) % 4 < 2)
            for label in labels
            for row in range(28)
            for column in range(28)
        )
        images_head = struct.pack(">HBBIII", 0, 8, 3, count, 28, 28)
        labels_head = struct.pack(">HBBI", 0, 8, 1, count)
        for name, content in (
            (f"{prefix}-images-idx3-ubyte.gz", images_head + pixels),
            (f"{prefix}-labels-idx1-ubyte.gz", labels_head + labels),
        ):
            (folder / name).write_bytes(gzip.compress(content))


@pytest.mark.parametrize("kind", [photos, idx])
def test_own_images_are_one_changed_line(kind, project: Path, tmp_path: Path) -> None:
    kind(tmp_path / "own")
    default = project / "configs" / "default.yaml"
    text = default.read_text()
    assert text.count("path: data/digits") == 1
    default.write_text(text.replace("data/digits", str(tmp_path / "own")))
    run(project, "python", "train.py", "fit", "--trainer.max_epochs", "10")
    report = run(project, "python", "train.py", "test", "--ckpt_path", "best")
    assert metric(report, "test_acc") >= 0.9
