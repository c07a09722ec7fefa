"""The accuracy that the project states, measured as it says: the median of five seeds."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.projects.command import metric, run

# Each test image gets the label of the closest image that is not tested.
NEAREST_NEIGHBOUR = """
import torch
from my_digits.data import Data

splits = Data().splits
known = [splits["train"], splits["val"]]
pixels = torch.cat([split.images for split in known]).flatten(1).double()
labels = torch.tensor([label for split in known for label in split.labels])
test = splits["test"]
nearest = torch.cdist(test.images.flatten(1).double(), pixels).argmin(dim=1)
print((labels[nearest] == torch.tensor(test.labels)).sum().item(), len(test))
"""


def accuracy(project: Path, seed: int) -> float:
    """The test accuracy of a default run with another seed."""
    chosen = ["--seed_everything", str(seed)]
    run(project, "python", "train.py", "fit", *chosen)
    report = run(project, "python", "train.py", "test", "--ckpt_path", "best")
    return metric(report, "test_acc")


def test_the_nearest_neighbour_is_right_in_442_of_450(project: Path) -> None:
    assert run(project, "python", "-c", NEAREST_NEIGHBOUR).split() == ["442", "450"]


@pytest.mark.full
def test_the_median_of_five_seeds_is_at_least_985_of_1000(project: Path) -> None:
    results = [accuracy(project, seed) for seed in range(5)]
    assert statistics.median(results) >= 0.985, results
