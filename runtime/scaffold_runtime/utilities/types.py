"""What hooks take and return, by Lightning's names."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from scaffold_runtime.optimization import SchedulerConfig

STEP_OUTPUT = Tensor | Mapping[str, Any] | None
TRAIN_DATALOADERS = Any
EVAL_DATALOADERS = Any
OptimizerLRScheduler = Any
OptimizerLRSchedulerConfig = dict[str, Any]
LRSchedulerTypeUnion = LRScheduler | ReduceLROnPlateau
LRSchedulerConfig = SchedulerConfig
