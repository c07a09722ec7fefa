"""`RunRecord`: what was run, with what, and how it ended, in one file."""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from scaffold_runtime.callback import Callback
from scaffold_runtime.run_folder import write_whole
from scaffold_runtime.secret import mask_words
from scaffold_runtime.seed import SEED_VARIABLE
from scaffold_runtime.stops import RunStopped

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

FILENAME = "run.json"


class RunRecord(Callback):
    """Write `run.json` into the run's folder, when it begins and again when it ends.

    Keys: `command`, `started`, `git` (`commit`, `dirty`; null outside of a repository),
    `versions`, `device`, `seed`, `precision`, `world_size`, `seconds`, `metrics`, `ended`.
    `ended` is `completed: ...`, `stopped early: ...`, `interrupted by ...`, `failed: ...`,
    or null while the run goes on; after a kill it stays null. Several entry points of one
    trainer share the record, with the metrics of all of them.
    """

    runs_last = True

    def __init__(self) -> None:
        self._record: dict[str, Any] = {}
        self._path = Path()
        self._began = 0.0

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Write what is known before the run."""
        log_dir = trainer.log_dir
        if not trainer.is_global_zero or log_dir is None:
            return
        self._path = Path(log_dir, FILENAME)
        if not self._record:
            self._began = time.monotonic()
            self._record = {**_describe(trainer), "metrics": {}}
        self._record["ended"] = None
        self._write()

    def teardown(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Add how a run ended that came to its end."""
        self._finish(trainer, _reason(trainer))

    def on_exception(
        self, trainer: Trainer, pl_module: Module, exception: BaseException
    ) -> None:
        """Add how a run ended that did not come to its end."""
        ended = f"failed: {type(exception).__name__}: {exception}"
        if isinstance(exception, (RunStopped, KeyboardInterrupt)):
            number = getattr(exception, "signal_number", signal.SIGINT)
            ended = f"interrupted by {signal.Signals(number).name}"
        self._finish(trainer, ended)

    def _finish(self, trainer: Trainer, ended: str) -> None:
        """Write the whole record, where it was begun and is not finished."""
        if not self._record or self._record["ended"] is not None:
            return
        metrics = trainer.callback_metrics.items()
        self._record["metrics"].update({k: _number(v) for k, v in metrics})
        self._record["seconds"] = round(time.monotonic() - self._began, 3)
        self._record["ended"] = ended
        self._write()

    def _write(self) -> None:
        write_whole(self._path, json.dumps(self._record, indent=2) + "\n")


def _describe(trainer: Trainer) -> dict[str, Any]:
    """What is known of a run before it begins."""
    seed = os.environ.get(SEED_VARIABLE)
    # The package's own door may not be imported from inside, and is there by now.
    runtime = sys.modules[__name__.partition(".")[0]]
    return {
        "command": mask_words(sys.argv),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git": _git_state(Path(sys.argv[0]).resolve().parent),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            runtime.__name__: getattr(runtime, "__version__", None),
        },
        "device": _device_name(trainer.engine.device),
        "seed": None if seed is None else int(seed),
        "precision": trainer.precision,
        "world_size": trainer.world_size,
        "seconds": None,
    }


def _device_name(device: torch.device) -> str:
    """The device, and on CUDA what it is."""
    cuda = device.type == "cuda"
    return f"{device} ({torch.cuda.get_device_name(device)})" if cuda else str(device)


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, and whether tracked files differ from it; None where there is no commit."""
    quietly: dict[str, Any] = {"stderr": subprocess.DEVNULL, "text": True}

    def ask(*words: str) -> str:
        git = ["git", "-C", str(folder), *words]
        return str(subprocess.check_output(git, timeout=10, **quietly).strip())

    try:
        commit = ask("rev-parse", "HEAD")
        dirty = bool(ask("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": dirty}


def _reason(trainer: Trainer) -> str:
    """Why a run that came to its end did so."""
    if trainer.state.fn != "fit":
        return "completed"
    for callback in trainer.early_stopping_callbacks:
        if callback.stopping_reason_message:
            return f"stopped early: {callback.stopping_reason_message}"
    steps, epochs = trainer.max_steps, trainer.max_epochs
    if steps not in (-1, None) and trainer.global_step >= steps:
        return f"completed: max_steps={steps}"
    if epochs not in (-1, None) and trainer.current_epoch >= epochs:
        return f"completed: max_epochs={epochs}"
    asked = trainer.should_stop
    return "stopped early: trainer.should_stop was set" if asked else "completed"


def _number(value: Any) -> float | str:
    """A metric as JSON holds it: a number, or `nan`, `inf`, `-inf` as text."""
    number = float(value)
    return number if math.isfinite(number) else str(number)
