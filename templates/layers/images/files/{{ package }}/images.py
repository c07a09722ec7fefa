"""Read labelled images: IDX files as MNIST's, or a folder of image files per class.

Images are (C, H, W) tensors: uint8 as they are stored, float32 in [0, 1] as the model
sees them.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from scaffold_runtime import DataError
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

Shape = tuple[int, int, int]
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class LabelledImages(Dataset[tuple[Tensor, int]]):
    """Images, each with the index of its class.

    Args:
        images: The stored images: a (N, C, H, W) uint8 tensor, or a file for each.
        labels: The class of each image, as an index into `classes`.
        classes: The names of the classes.
        shape: (C, H, W) of the images given out; None: as the first one is stored.
    """

    def __init__(
        self,
        images: Tensor | Sequence[Path],
        labels: list[int],
        classes: list[str],
        shape: Shape | None = None,
    ) -> None:
        self.images = images
        self.labels = labels
        self.classes = classes
        self.shape = shape or shape_of(self.stored(0))

    def stored(self, index: int) -> Tensor:  # -> (C, H, W) uint8
        """One image as it is stored."""
        image = self.images[index]
        return load_image(image) if isinstance(image, Path) else image

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_input(self.stored(index), self.shape), self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: list[int]) -> "LabelledImages":
        """The images at these places, with all classes."""
        labels = [self.labels[i] for i in indices]
        if isinstance(self.images, Tensor):
            images: Tensor | list[Path] = self.images[indices]
        else:
            images = [self.images[i] for i in indices]
        return LabelledImages(images, labels, self.classes, self.shape)


def read_splits(path: Path, shape: Shape | None = None) -> dict[str, LabelledImages]:
    """The data set in a folder: "train", and "val" and "test" where it keeps them apart.

    The folder holds IDX files (`train-images*` with `train-labels*`, and the same with
    `test` or `t10k`), or the folders `train`, `val` and `test` with a folder of images
    per class in each, or the class folders alone.

    Raises:
        DataError: Nothing of this is there, or a file is not what its name says.
    """
    if not path.is_dir():
        raise DataError(f"There is no folder {path}: set data.path to one with images.")
    places = find_splits(path)
    train = read_split(places.pop("train"), shape)
    return {"train": train} | {
        name: read_split(place, train.shape, train.classes)
        for name, place in places.items()
    }


def find_splits(path: Path) -> dict[str, Path]:
    """Where each split is: its IDX file of images, or its folder of class folders."""
    if any(path.glob("train-images*")):
        prefixes = {"train": "train", "t10k": "test", "test": "test"}
        return {
            name: file
            for prefix, name in prefixes.items()
            for file in path.glob(f"{prefix}-images*")
        }
    if (path / "train").is_dir():
        names = ("train", "val", "test")
        return {name: path / name for name in names if (path / name).is_dir()}
    return {"train": path}


def read_split(
    place: Path, shape: Shape | None, classes: list[str] | None = None
) -> LabelledImages:
    """The images at a place of `find_splits`; every class must be one of `classes`."""
    read = read_idx_pair if place.is_file() else read_class_folders
    images, names = read(place)
    classes = classes or sorted(set(names), key=numbers_by_value)
    if unknown := set(names) - set(classes):
        raise DataError(f"{place} has a class that is not trained on: {min(unknown)}.")
    index = {name: i for i, name in enumerate(classes)}
    return LabelledImages(images, [index[name] for name in names], classes, shape)


def numbers_by_value(name: str) -> str:
    """A sorting key that puts class 10 after class 9."""
    return name.zfill(3) if name.isdecimal() else name


def read_idx_pair(path: Path) -> tuple[Tensor, list[str]]:
    """The images of an IDX file, (N, C, H, W), and the class of each from its sibling."""
    labels_path = next(path.parent.glob(path.name.split("-")[0] + "-labels*"), None)
    if labels_path is None:
        raise DataError(f"{path} has no file of labels beside it.")
    images, labels = read_idx(path), read_idx(labels_path)
    if images.dim() not in (3, 4) or images.numel() == 0 or labels.dim() != 1:
        raise DataError(f"{path} and {labels_path.name} hold no images and labels.")
    if len(images) != len(labels):
        raise DataError(
            f"{path} has {len(images)} images, {labels_path.name} {len(labels)} labels."
        )
    # (N, H, W) is grey; a fourth number is the channels, last as in image files.
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
    return images, [str(label) for label in labels.tolist()]


def read_idx(path: Path) -> Tensor:
    """The bytes of an IDX file, gzipped or not: http://yann.lecun.com/exdb/mnist/."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        zeros, kind, rank = struct.unpack_from(">HBB", content)
        sizes = struct.unpack_from(f">{rank}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {error}.") from None
    start = 4 + 4 * rank
    if (zeros, kind) != (0, 8) or len(content) - start != math.prod(sizes):
        raise DataError(f"{path} is not a whole IDX file of unsigned bytes.")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[start:].view(sizes)


def read_class_folders(folder: Path) -> tuple[list[Path], list[str]]:
    """The image files in a folder's folders, and for each the name of its folder."""
    classes = sorted(d for d in folder.iterdir() if d.is_dir() and d.name[0] != ".")
    if not classes:
        raise DataError(f"{folder} has no folders of images: make one for each class.")
    files, names = [], []
    for class_folder in classes:
        found = image_files(class_folder)
        files += found
        names += [class_folder.name] * len(found)
    return files, names


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and below it, in the order of their names.

    Raises:
        DataError: There is none.
    """
    found = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"The folder {folder} has no images: add some, or remove it.")
    return found


def load_image(path: Path) -> Tensor:  # -> (C, H, W) uint8, C = 1 (grey) or 3 (RGB)
    """The pixels of an image file.

    Raises:
        DataError: It cannot be read; names the file.
    """
    try:
        with Image.open(path) as image:
            deep = image.mode.startswith("I")  # 16 bits, which would be clipped
            scaled = image.point(lambda value: value * (1 / 256)) if deep else image
            grey = deep or image.mode in ("1", "L", "LA")
            pixels = scaled.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"The image {path} cannot be read: {error}.") from None
    content = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    return content.view(pixels.height, pixels.width, -1).permute(2, 0, 1)


def as_input(image: Tensor, shape: Shape) -> Tensor:
    """An image as the model sees it: (C, H, W) uint8 -> `shape`, float32 in [0, 1]."""
    channels, *size = shape
    pixels = image.float() / 255
    if len(pixels) != channels:
        pixels = pixels.mean(0, keepdim=True).expand(channels, -1, -1)
    if list(pixels.shape[1:]) != size:
        pixels = interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
    return pixels


def shape_of(image: Tensor) -> Shape:
    """The shape of an image as plain numbers, fit for a config and a checkpoint."""
    channels, height, width = image.shape
    return channels, height, width
