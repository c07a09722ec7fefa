"""The command line of a project: `CLI(Model, Data)` in a script, as LightningCLI users know it."""

import gc
import sys

# A script keeps what torch has loaded. To look through it for garbage takes a tenth of a
# second each time, the first before a run has begun.
if not hasattr(sys, "ps1"):
    gc.freeze()

from scaffold_runtime.cli.command_line import CLI, ArgsType
from scaffold_runtime.cli.optimizer import instantiate_class
from scaffold_runtime.cli.parser import (
    ArgumentParser,
    LRSchedulerCallable,
    OptimizerCallable,
    ReduceLROnPlateau,
)
from scaffold_runtime.cli.saved_config import SaveConfigCallback

LightningArgumentParser = ArgumentParser
LightningCLI = CLI

__all__ = [
    "CLI",
    "ArgsType",
    "ArgumentParser",
    "LRSchedulerCallable",
    "LightningArgumentParser",
    "LightningCLI",
    "OptimizerCallable",
    "ReduceLROnPlateau",
    "SaveConfigCallback",
    "instantiate_class",
]
