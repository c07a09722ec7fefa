"""The model: shapes, learning, prediction."""

from collections.abc import Callable
from pathlib import Path

import pytest
import scaffold_runtime as L
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from {{ package }}.data import Data
from {{ package }}.model import Model


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 33, 17)])
def test_gives_a_score_for_each_class(shape: tuple[int, int, int]) -> None:
    model = Model(shape, ["cat", "dog", "owl"], widths=(8, 16, 24))
    assert model(torch.rand(5, *shape)).shape == (5, 3)


def test_learns_one_batch_by_heart(
    model: Model, data: Data, trainer: Callable[..., L.Trainer]
) -> None:
    images, labels = next(iter(data.train_dataloader()))
    trainer(max_epochs=300).fit(model, [(images, labels)])
    model.eval()
    assert (model(images).argmax(dim=1) == labels).all()
    assert cross_entropy(model(images), labels) < 0.1


def test_the_result_of_an_image_does_not_depend_on_its_batch(
    model: Model, data: Data
) -> None:
    images, _ = next(iter(data.val_dataloader()))
    model.eval()
    torch.testing.assert_close(model(images)[:1], model(images[:1]))


def test_predicts_an_image_file_from_a_checkpoint_alone(
    model: Model, data: Data, trainer: Callable[..., L.Trainer], tmp_path: Path
) -> None:
    fitted = trainer(max_epochs=1)
    fitted.fit(model, data)
    fitted.save_checkpoint(tmp_path / "model.ckpt")
    Image.new("L", (30, 20), 128).save(tmp_path / "grey.png")

    loaded = Model.load_from_checkpoint(tmp_path / "model.ckpt")
    name, probability = loaded.predict(tmp_path / "grey.png")

    assert name in data.classes
    assert 1 / len(data.classes) <= probability <= 1
    assert (name, probability) == model.predict(tmp_path / "grey.png")
