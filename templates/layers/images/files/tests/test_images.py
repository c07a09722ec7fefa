"""What the data reads: folders of images, IDX files, and what is wrong with them."""

import gzip
import struct
from pathlib import Path

import pytest
import torch
from PIL import Image
from scaffold_runtime import DataError
from torch import Tensor

from {{ package }}.data import Data
from {{ package }}.images import load_image


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


def test_reads_a_folder_of_images_per_class(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 10, "dog": 10})
    data = Data(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert data.image_shape == (3, 12, 10)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }
    image, label = data.splits["train"][0]
    assert image.shape == (3, 12, 10)
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([0.0, 200.0, 40.0]) / 255)
    assert label == 0


def test_reads_grey_images_of_16_bits(tmp_path: Path) -> None:
    values = struct.pack("<4H", 0, 256, 32768, 65535)
    Image.frombytes("I;16", (4, 1), values).save(tmp_path / "deep.png")
    assert load_image(tmp_path / "deep.png").tolist() == [[[0, 1, 128, 255]]]


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
