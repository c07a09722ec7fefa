"""The data: splits, augmentation, and what it reads."""

import gzip
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import scaffold_runtime as L
import torch
from PIL import Image
from scaffold_runtime import DataError
from torch import Tensor

from {{ package }}.augment import random_affine
from {{ package }}.data import Data, stratified_split
from {{ package }}.model import Model


def write_photos(folder: Path, sizes: dict[str, int]) -> None:
    """A folder of RGB images per class, each image of another colour and size."""
    for name, size in sizes.items():
        (folder / name).mkdir(parents=True)
        for i in range(size):
            image = Image.new("RGB", (10 + i, 12), (10 * i, 200, 40))
            image.save(folder / name / f"{i}.png")


def write_idx(path: Path, values: Tensor) -> None:
    """An IDX file of bytes, compressed if its name says so."""
    header = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    content = header + bytes(values.flatten().tolist())
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_a_split_takes_the_same_share_of_each_class() -> None:
    labels = [0] * 50 + [1] * 30 + [2] * 20
    rest, taken = stratified_split(labels, 0.1)
    assert Counter(labels[i] for i in taken) == {0: 5, 1: 3, 2: 2}
    assert sorted(rest + taken) == list(range(100))
    assert stratified_split(labels, 0.1) == (rest, taken)


def test_no_image_is_in_two_splits(data: Data) -> None:
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sizes == {"train": 87, "val": 9, "test": 24}
    splits = data.splits.values()
    images = [split[i][0] for split in splits for i in range(len(split))]
    assert len({tuple(image.flatten().tolist()) for image in images}) == 120


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


def test_reads_a_folder_of_images_per_class(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 10, "dog": 5})
    data = Data(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert data.image_shape == (3, 12, 10)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 11,
        "val": 1,
        "test": 3,
    }
    image, label = data.splits["train"][0]
    assert image.shape == (3, 12, 10)
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([0.0, 200.0, 40.0]) / 255)
    assert label == 0


def test_reads_folders_that_are_split_already(tmp_path: Path) -> None:
    write_photos(tmp_path / "train", {"cat": 10, "dog": 10})
    write_photos(tmp_path / "test", {"dog": 3})
    data = Data(tmp_path, shape=(1, 6, 6), batch_size=4)
    assert data.splits["test"].labels == [1, 1, 1]
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (4, 1, 6, 6)
    assert labels.shape == (4,)


def test_reads_idx_files_in_colour(tmp_path: Path) -> None:
    pixels = torch.arange(20 * 4 * 5 * 3).remainder(256).byte().view(20, 4, 5, 3)
    write_idx(tmp_path / "train-images-idx4-ubyte.gz", pixels)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", torch.arange(20).byte() % 2)
    write_idx(tmp_path / "t10k-images-idx4-ubyte", pixels[:6])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", torch.arange(6).byte() % 2)
    test = Data(tmp_path).splits["test"]
    assert len(test) == 6
    torch.testing.assert_close(test[0][0], pixels[0].permute(2, 0, 1).float() / 255)


def test_predicts_all_images_of_a_folder(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 2, "dog": 1})
    data = Data(tmp_path, test_share=0.0, val_share=0.0, predict_path=tmp_path)
    images, names = next(iter(data.predict_dataloader()))
    assert images.shape == (3, 3, 12, 10)
    assert names[2] == str(tmp_path / "dog" / "0.png")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder .*nowhere"):
        Data(tmp_path / "nowhere").splits


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 1, "dog": 0})
    with pytest.raises(DataError, match="dog has no images"):
        Data(tmp_path).splits


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 4, "dog": 4})
    (tmp_path / "dog" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="dog.2.png cannot be read"):
        list(Data(tmp_path).train_dataloader())


def test_a_damaged_idx_file_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images", torch.zeros(2, 4, 4).byte())
    write_idx(tmp_path / "train-labels", torch.zeros(2).byte())
    whole = (tmp_path / "train-images").read_bytes()
    (tmp_path / "train-images").write_bytes(whole[:-1])
    with pytest.raises(DataError, match="train-images is not a whole IDX file"):
        Data(tmp_path).splits
