"""Loggers that come with the runtime; their packages are imported when first used."""

from typing import Any

from scaffold_runtime.errors import missing_name
from scaffold_runtime.loggers.csv_logs import CSVLogger
from scaffold_runtime.loggers.logger import DummyLogger, Logger
from scaffold_runtime.loggers.mlflow import MLFlowLogger
from scaffold_runtime.loggers.tensorboard import TensorBoardLogger
from scaffold_runtime.loggers.wandb import WandbLogger

__all__ = [
    "CSVLogger",
    "DummyLogger",
    "Logger",
    "MLFlowLogger",
    "TensorBoardLogger",
    "WandbLogger",
]

_INSTEAD = dict.fromkeys(
    ("CometLogger", "LitLogger", "NeptuneLogger"),
    "use MLFlowLogger or WandbLogger, or subclass Logger around the package's client",
)


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, _INSTEAD)
