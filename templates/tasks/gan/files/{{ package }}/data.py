"""The data: where it comes from, how it is split and batched."""

import random
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

import scaffold_runtime as L
import torch
from scaffold_runtime import DataError
from torch.utils.data import DataLoader, Dataset

from {{ package }}.images import LabelledImages, Shape, read_splits


class Data(L.LightningDataModule):
    """Labelled images: batches of (B, C, H, W) in [0, 1] and (B,) class indices.

    Args:
        path: A folder with IDX files as MNIST's, or with one folder of images per class.
        shape: (C, H, W) that every image is brought to; None: that of the first one.
        batch_size: Images in a step of both networks, over all processes together.
        val_share: Share of each class's training images that is kept for validation,
            at least one of two, unless the data has a `val` folder.
        test_share: The same for the test.
        workers: Processes that read images; with 0 the training process reads them.
        samples: For `predict`: images to draw of each class.
    """

    def __init__(
        self,
        path: Path = Path("data/digits"),
        shape: Shape | None = None,
        batch_size: int = 64,
        val_share: float = 0.1,
        test_share: float = 0.2,
        workers: int = 0,
        samples: int = 10,
    ) -> None:
        super().__init__()
        self.path = path
        self.shape = shape
        self.batch_size = batch_size
        self.val_share = val_share
        self.test_share = test_share
        self.workers = workers
        self.samples = samples

{% include 'parts/splits' %}

    def predict_dataloader(self) -> DataLoader[Any]:
        """Batches of class indices, (B,), each with the name of an image to draw."""
        return self.loader(ImagesToDraw(self.classes, self.samples))

{% include 'parts/loader' %}


class ImagesToDraw(Dataset[tuple[int, str]]):
    """The class of each image to draw, as an index, and a file name: `cat/0.png`."""

    def __init__(self, classes: list[str], samples: int) -> None:
        if samples < 1:
            raise DataError(f"data.samples must be 1 or more, and it is {samples}.")
        self.classes = classes
        self.samples = samples

    def __getitem__(self, index: int) -> tuple[int, str]:
        label, number = divmod(index, self.samples)
        return label, f"{self.classes[label]}/{number}.png"

    def __len__(self) -> int:
        return len(self.classes) * self.samples


{% include 'parts/stratified-split' %}
