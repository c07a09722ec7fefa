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

_MODULE_OF = {
    "BackboneFinetuning": "finetuning",
    "BaseFinetuning": "finetuning",
    "BasePredictionWriter": "prediction_writer",
    "Checkpoint": "checkpoint",
    "EMAWeightAveraging": "weight_averaging",
    "EarlyStopping": "early_stopping",
    "GradientAccumulationScheduler": "gradient_accumulation_scheduler",
    "LambdaCallback": "lambda_function",
    "LearningRateMonitor": "lr_monitor",
    "ModelCheckpoint": "model_checkpoint",
    "ModelSummary": "model_summary",
    "ProgressBar": "progress",
    "RichModelSummary": "model_summary",
    "RichProgressBar": "progress",
    "RunRecord": "run_record",
    "TQDMProgressBar": "progress",
    "ThroughputMonitor": "throughput_monitor",
    "Timer": "timer",
    "WeightAveraging": "weight_averaging",
}


def __getattr__(name: str) -> Any:
    """Import a callback by its name (PEP 562): most runs need few of them."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


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
