"""What the tests share: images of their own, a small model, a quiet trainer."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scaffold_runtime as L
from PIL import Image

from {{ package }}.data import Data
from {{ package }}.model import Model


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 40 grey images of each of three classes, no two of them alike."""
    folder = tmp_path_factory.mktemp("images")
    noise = random.Random(0)
    for brightness, name in enumerate(("dark", "dim", "light")):
        (folder / name).mkdir()
        for i in range(40):
            pixels = bytes(60 * brightness + noise.randrange(120) for _ in range(64))
            Image.frombytes("L", (8, 8), pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def data(images: Path) -> Data:
    """The images in batches of 16."""
    return Data(images, batch_size=16)


@pytest.fixture
def model(data: Data) -> Model:
    """A model for the images that trains in seconds."""
    L.seed_everything(0)
{% include 'parts/small-model' %}


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., L.Trainer]:
    """Makes quiet trainers that write to a temporary folder."""

    def make(**arguments: Any) -> L.Trainer:
        quiet: dict[str, Any] = {
            "accelerator": "cpu",
            "default_root_dir": tmp_path,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "logger": False,
        }
        return L.Trainer(**(quiet | arguments))

    return make
