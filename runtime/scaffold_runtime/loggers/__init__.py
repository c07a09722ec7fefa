"""Loggers that come with the runtime; their packages are imported when first used."""

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
