"""Callbacks that come with the runtime."""

from typing import Any

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
from scaffold_runtime.callbacks.run_record import RunRecord
from scaffold_runtime.callbacks.throughput_monitor import ThroughputMonitor
from scaffold_runtime.callbacks.timer import Timer
from scaffold_runtime.callbacks.weight_averaging import (
    EMAWeightAveraging,
    WeightAveraging,
)
from scaffold_runtime.errors import missing_name

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

_INSTEAD = {
    "BatchSizeFinder": "call tuner.Tuner(trainer).scale_batch_size before fit",
    "DeviceStatsMonitor": "use ThroughputMonitor, or log torch.cuda.memory_stats()",
    "LearningRateFinder": "call tuner.Tuner(trainer).lr_find before fit",
    "ModelPruning": "call torch.nn.utils.prune in a callback's on_train_epoch_end",
    "OnExceptionCheckpoint": "use ModelCheckpoint(save_on_exception=True)",
    "SpikeDetection": "use EarlyStopping(divergence_threshold=...), or"
    " Trainer(on_nonfinite='skip')",
    "StochasticWeightAveraging": "use WeightAveraging, whose default is the same mean,"
    " with torch.optim.swa_utils.SWALR as scheduler",
}


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, _INSTEAD)
