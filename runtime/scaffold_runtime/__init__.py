"""A small, fast PyTorch trainer that speaks Lightning's documented vocabulary.

    import scaffold_runtime as L

    trainer = L.Trainer(max_epochs=10)
    trainer.fit(model, datamodule=data)

`LightningModule` and `LightningDataModule` are other names of `Module` and `DataModule`.
Not affiliated with Lightning AI.
"""

import warnings
from importlib import import_module
from typing import Any

# Before torch is imported: neither torch nor this package needs
# NumPy, and torch warns where it is not installed.
warnings.filterwarnings("ignore", "Failed to initialize NumPy", UserWarning)

from scaffold_runtime.callback import Callback
from scaffold_runtime.combined_loader import CombinedLoader
from scaffold_runtime.data import DataModule
from scaffold_runtime.engine import Engine
from scaffold_runtime.errors import (
    CheckpointError,
    DataError,
    MisconfigurationError,
    NonFiniteError,
    UserError,
    missing_name,
)
from scaffold_runtime.module import Module
from scaffold_runtime.seed import seed_everything
from scaffold_runtime.trainer import Trainer

__version__ = "0.1.0"

LightningModule = Module
LightningDataModule = DataModule

__all__ = [
    "Callback",
    "CheckpointError",
    "CombinedLoader",
    "DataError",
    "DataModule",
    "Engine",
    "LightningDataModule",
    "LightningModule",
    "MisconfigurationError",
    "Module",
    "NonFiniteError",
    "Trainer",
    "UserError",
    "seed_everything",
]

_DOORS = (
    "callbacks cli demos loggers profilers pytorch strategies tuner utilities".split()
)
_INSTEAD = dict.fromkeys(
    ("Fabric", "fabric"), "use Engine, the low layer for a loop of your own"
)


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return import_module(f"{__name__}.{name}")
    raise missing_name(__name__, name, _INSTEAD)
