"""The data: splits, augmentation, images to predict."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import scaffold_runtime as L
import torch
from scaffold_runtime import DataError
from torch import Tensor

from {{ package }}.augment import random_affine
from {{ package }}.data import Data, stratified_split
from {{ package }}.model import Model


{% include 'parts/split-tests' %}


def test_training_images_come_in_random_order(data: Data) -> None:
    _, labels = next(iter(data.train_dataloader()))
    assert set(labels.tolist()) == {0, 1, 2}
    _, labels = next(iter(data.test_dataloader()))
    assert labels.tolist() == sorted(labels.tolist())


def test_only_training_images_are_augmented(
    data: Data,
    model: Model,
    trainer: Callable[..., L.Trainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    augmented = []

    def look(images: Tensor, *limits: float) -> Tensor:
        augmented.append(images)
        return images

    monkeypatch.setattr("{{ package }}.data.random_affine", look)
    trainer(max_epochs=1, limit_train_batches=4, limit_val_batches=3).fit(model, data)
    assert len(augmented) == 4


def test_augmentation_changes_each_image_by_its_own_amount() -> None:
    images = torch.rand(1, 1, 8, 8).expand(4, -1, -1, -1)
    same = random_affine(images, degrees=0.0, shift=0.0, zoom=0.0)
    torch.testing.assert_close(same, images)
    changed = random_affine(images, degrees=10.0, shift=0.1, zoom=0.1)
    assert changed.shape == images.shape
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 4


def test_predicts_all_images_of_a_folder(images: Path) -> None:
    data = Data(images, predict_path=images / "dim")
    batch, names = next(iter(data.predict_dataloader()))
    assert batch.shape == (40, 1, 8, 8)
    assert names[0] == str(images / "dim" / "0.png")
