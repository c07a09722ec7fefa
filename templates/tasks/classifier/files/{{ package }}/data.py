"""The data: where it comes from, how it is split, batched and augmented."""

import random
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

import scaffold_runtime as L
import torch
from scaffold_runtime import DataError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from {{ package }}.augment import random_affine
from {{ package }}.images import (
    LabelledImages,
    Shape,
    as_input,
    image_files,
    load_image,
    read_splits,
)


class Data(L.LightningDataModule):
    """Labelled images: batches of (B, C, H, W) in [0, 1] and (B,) class indices.

    Args:
        path: A folder with IDX files as MNIST's, or with one folder of images per class.
        shape: (C, H, W) that every image is brought to; None: that of the first one.
        batch_size: Images in an optimizer step, over all processes together.
        val_share: Share of each class's training images that is kept for validation,
            at least one of two, unless the data has a `val` folder.
        test_share: The same for the test.
        degrees: Training images are turned by up to this to either side,
        shift: moved by up to this share of their side,
        zoom: and scaled by up to this share.
        workers: Processes that read images; with 0 the training process reads them.
        predict_path: For `predict`: an image, or a folder of images.
    """

    def __init__(
        self,
        path: Path = Path("data/digits"),
        shape: Shape | None = None,
        batch_size: int = 64,
        val_share: float = 0.1,
        test_share: float = 0.2,
        degrees: float = 10.0,
        shift: float = 0.1,
        zoom: float = 0.1,
        workers: int = 0,
        predict_path: Path | None = None,
    ) -> None:
        super().__init__()
        self.path = path
        self.shape = shape
        self.batch_size = batch_size
        self.val_share = val_share
        self.test_share = test_share
        self.degrees = degrees
        self.shift = shift
        self.zoom = zoom
        self.workers = workers
        self.predict_path = predict_path

{% include 'parts/splits' %}

    def predict_dataloader(self) -> DataLoader[Any]:
        """Batches of the images at `predict_path`, with their names in place of labels."""
        if self.predict_path is None:
            raise DataError("Set data.predict_path to an image or a folder of images.")
        return self.loader(UnlabelledImages(self.predict_path, self.image_shape))

{% include 'parts/loader' %}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment while training; validation and test see the images as they are."""
        if self.trainer is None or not self.trainer.training:
            return batch
        images, labels = batch
        return random_affine(images, self.degrees, self.shift, self.zoom), labels


class UnlabelledImages(Dataset[tuple[Tensor, str]]):
    """An image file, or those in a folder, each with its path."""

    def __init__(self, path: Path, shape: Shape) -> None:
        if not path.exists():
            raise DataError(f"data.predict_path: there is no image or folder {path}.")
        self.files = image_files(path) if path.is_dir() else [path]
        self.shape = shape

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        file = self.files[index]
        return as_input(load_image(file), self.shape), str(file)

    def __len__(self) -> int:
        return len(self.files)


{% include 'parts/stratified-split' %}
