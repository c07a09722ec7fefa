"""The data: splits, batches, images to draw."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from scaffold_runtime import DataError

from {{ package }}.data import Data, stratified_split


{% include 'parts/split-tests' %}


def test_training_images_come_in_random_order_and_none_is_left_out(data: Data) -> None:
    batches = [labels for _, labels in data.train_dataloader()]
    assert set(batches[0].tolist()) == {0, 1, 2}
    assert [len(labels) for labels in batches] == [16] * 5 + [7]


def test_a_prediction_asks_for_as_many_images_of_each_class(data: Data) -> None:
    data.samples = 2
    labels, names = next(iter(data.predict_dataloader()))
    assert torch.equal(labels, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert names[:3] == ("dark/0.png", "dark/1.png", "dim/0.png")
    data.samples = 0
    with pytest.raises(DataError, match="data.samples must be 1 or more"):
        data.predict_dataloader()
