"""Callbacks that come with the runtime; each module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scaffold_runtime.callback import Callback

if TYPE_CHECKING:
    from scaffold_runtime.callbacks.checkpoint import Checkpoint
    from scaffold_runtime.callbacks.early_stopping import EarlyStopping
    from scaffold_runtime.callbacks.finetuning import (
        BackboneFinetuning,
        BaseFinetuning,
    )
    from scaffold_runtime.callbacks.gradient_accumulation_scheduler import (
        GradientAccumulationScheduler,
    )
    from scaffold_runtime.callbacks.lambda_function import LambdaCallback
    from scaffold_runtime.callbacks.lr_monitor import LearningRateMonitor
    from scaffold_runtime.callbacks.model_checkpoint import ModelCheckpoint
    from scaffold_runtime.callbacks.model_summary import (
        ModelSummary,
        RichModelSummary,
    )
    from scaffold_runtime.callbacks.prediction_writer import BasePredictionWriter
    from scaffold_runtime.callbacks.progress import (
        ProgressBar,
        RichProgressBar,
        TQDMProgressBar,
    )
    from scaffold_runtime.callbacks.run_record import RunRecord
    from scaffold_runtime.callbacks.throughput_monitor import ThroughputMonitor
    from scaffold_runtime.callbacks.timer import Timer
    from scaffold_runtime.callbacks.weight_averaging import (
        EMAWeightAveraging,
        WeightAveraging,
    )

_NAMES_IN = {
    "checkpoint": ["Checkpoint"],
    "early_stopping": ["EarlyStopping"],
    "finetuning": ["BackboneFinetuning", "BaseFinetuning"],
    "gradient_accumulation_scheduler": ["GradientAccumulationScheduler"],
    "lambda_function": ["LambdaCallback"],
    "lr_monitor": ["LearningRateMonitor"],
    "model_checkpoint": ["ModelCheckpoint"],
    "model_summary": ["ModelSummary", "RichModelSummary"],
    "prediction_writer": ["BasePredictionWriter"],
    "progress": ["ProgressBar", "RichProgressBar", "TQDMProgressBar"],
    "run_record": ["RunRecord"],
    "throughput_monitor": ["ThroughputMonitor"],
    "timer": ["Timer"],
    "weight_averaging": ["EMAWeightAveraging", "WeightAveraging"],
}


def __getattr__(name: str) -> Any:
    """Import a callback by its name (PEP 562): most runs need few of them."""
    for module, names in _NAMES_IN.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "RunRecord",
    "TQDMProgressBar",
    "ThroughputMonitor",
    "Timer",
    "WeightAveraging",
]
