"""Callbacks that come with the runtime; nothing heavy is imported before it is used."""

from scaffold_runtime.callback import Callback
from scaffold_runtime.callbacks.checkpoint import Checkpoint
from scaffold_runtime.callbacks.early_stopping import EarlyStopping
from scaffold_runtime.callbacks.finetuning import BackboneFinetuning, BaseFinetuning
from scaffold_runtime.callbacks.gradient_accumulation_scheduler import (
    GradientAccumulationScheduler,
)
from scaffold_runtime.callbacks.lambda_function import LambdaCallback
from scaffold_runtime.callbacks.lr_monitor import LearningRateMonitor
from scaffold_runtime.callbacks.model_checkpoint import ModelCheckpoint
from scaffold_runtime.callbacks.model_summary import ModelSummary, RichModelSummary
from scaffold_runtime.callbacks.prediction_writer import BasePredictionWriter
from scaffold_runtime.callbacks.progress import (
    ProgressBar,
    RichProgressBar,
    TQDMProgressBar,
)
from scaffold_runtime.callbacks.throughput_monitor import ThroughputMonitor
from scaffold_runtime.callbacks.timer import Timer
from scaffold_runtime.callbacks.weight_averaging import (
    EMAWeightAveraging,
    WeightAveraging,
)

__all__ = [
    "BackboneFinetuning",
    "BaseFinetuning",
    "BasePredictionWriter",
    "Callback",
    "Checkpoint",
    "EMAWeightAveraging",
    "EarlyStopping",
    "GradientAccumulationScheduler",
    "LambdaCallback",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "ProgressBar",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
    "ThroughputMonitor",
    "Timer",
    "WeightAveraging",
]
