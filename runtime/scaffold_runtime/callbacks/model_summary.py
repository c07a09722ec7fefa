"""`ModelSummary`: a table of the model's layers, printed when a fit starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaffold_runtime.callback import Callback
from scaffold_runtime.launch import rank_zero_info
from scaffold_runtime.summary import summarize

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer


class ModelSummary(Callback):
    """Print a table of the model's layers when a fit starts.

    Shapes are shown where the module has an `example_input_array`.

    Args:
        max_depth: how deep to list layers within layers; -1 lists all, 0 prints nothing.
    """

    def __init__(self, max_depth: int = 1) -> None:
        self._max_depth = max_depth

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Print the table on rank 0; all ranks take part in the example's forward."""
        if self._max_depth:
            rank_zero_info(f"\n{summarize(pl_module, self._max_depth)}")


class RichModelSummary(ModelSummary):
    """`ModelSummary` under the name of Lightning's table for rich."""
