"""Running commands in a project, as its user does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TOOLS = Path(sys.executable).parent


def run(
    project: Path, *words: str, code: int = 0, timeout: float = 300, **variables: str
) -> str:
    """What a command prints, on both streams; it must end with `code`.

    The environment's own tools (python, torchrun) come first on the path.
    """
    # Libraries of loggers leave words for child processes in this one's environment.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "WANDB_"))
    }
    environment = inherited | {
        "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "160",
        **variables,
    }
    done = subprocess.run(
        words,
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert (
        done.returncode == code
    ), f"{' '.join(words)}: {done.returncode}\n{done.stdout}"
    return done.stdout


def metric(report: str, name: str) -> float:
    """A value in the table that a test or validation prints at its end."""
    found = re.search(rf"^ +{name} +(\d+\.\d+)$", report, re.M)
    assert found is not None, report
    return float(found[1])
