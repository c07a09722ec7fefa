"""Named crash points: `SCAFFOLD_FAULT=point:n` kills the process at the n-th pass.

Tests enumerate POINTS to show that no crash loses a run.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

POINTS = (
    "checkpoint.staging",
    "checkpoint.staged",
    "checkpoint.renamed",
    "model_checkpoint.removing",
    "training.validating",
    "training.epoch_end",
)

_passes: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Die here by SIGKILL if `SCAFFOLD_FAULT` names this point and this pass."""
    wanted = os.environ.get("SCAFFOLD_FAULT")
    if wanted is None:
        return
    _passes[name] += 1
    if wanted == f"{name}:{_passes[name]}":
        # Windows has no SIGKILL; os.kill ends the process with any signal there.
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
