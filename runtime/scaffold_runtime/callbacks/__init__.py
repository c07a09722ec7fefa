"""Callbacks that come with the runtime; nothing heavy is imported before it is used."""

from scaffold_runtime.callback import Callback
from scaffold_runtime.callbacks.checkpoint import Checkpoint
from scaffold_runtime.callbacks.early_stopping import EarlyStopping
from scaffold_runtime.callbacks.lr_monitor import LearningRateMonitor
from scaffold_runtime.callbacks.model_checkpoint import ModelCheckpoint
from scaffold_runtime.callbacks.model_summary import ModelSummary, RichModelSummary
from scaffold_runtime.callbacks.progress import (
    ProgressBar,
    RichProgressBar,
    TQDMProgressBar,
)

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "ProgressBar",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
]
