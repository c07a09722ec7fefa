"""`python train.py fit --help` costs little more than `import torch`."""

import sys
import tempfile
from pathlib import Path

from benchmarks.generation import new
from benchmarks.measure import Finding, command_seconds, floors

ROUNDS = 5


def measure() -> list[Finding]:
    """Whole processes in a generated project."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "digits")
        new(project)
        seconds = floors(
            {
                "help": lambda: command_seconds(
                    [sys.executable, "train.py", "fit", "--help"], project
                ),
                "torch": lambda: command_seconds(
                    [sys.executable, "-c", "import torch"]
                ),
            },
            ROUNDS,
        )
    what = "python train.py fit --help"
    return [Finding(what, seconds["help"], "s", "import torch", seconds["torch"], 1.3)]
