"""`Checkpoint`: what the trainer recognises a checkpoint callback by."""

from __future__ import annotations

from typing import ClassVar

from scaffold_runtime.callback import Callback


class Checkpoint(Callback):
    """Base of callbacks that write checkpoints: they see what all others have done.

    Their record names the files that there are, not those of a checkpoint's time.
    """

    after_module: ClassVar[bool] = True
    runs_last: ClassVar[bool] = True
    fit_state: ClassVar[bool] = True
