"""Loggers that come with the runtime; their packages are imported when first used."""

from scaffold_runtime.loggers.csv_logs import CSVLogger
from scaffold_runtime.loggers.logger import DummyLogger, Logger
from scaffold_runtime.loggers.tensorboard import TensorBoardLogger

__all__ = ["CSVLogger", "DummyLogger", "Logger", "TensorBoardLogger"]
