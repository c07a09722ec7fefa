"""From `scaffold new` to the first line of progress: at most 10 s with torch installed."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Finding, floors

ROUNDS = 3
PROGRESS = re.compile(r"Epoch \d")


def first_line_seconds() -> float:
    """Seconds of one `scaffold new`, then of `train.py fit` up to its first progress.

    Raises:
        RuntimeError: The training ended before; the message is what it printed.
    """
    with tempfile.TemporaryDirectory() as name:
        project = Path(name, "digits")
        start = time.perf_counter()
        new = [sys.executable, "-m", "scaffold", "new", "classifier", str(project)]
        subprocess.run([*new, "--defaults"], check=True, stdout=subprocess.DEVNULL)
        training = subprocess.Popen(
            [sys.executable, "train.py", "fit"],
            cwd=project,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert training.stdout is not None
        printed = []
        try:
            for line in training.stdout:
                printed.append(line)
                if PROGRESS.search(line):
                    return time.perf_counter() - start
        finally:
            training.kill()
            training.wait()
    raise RuntimeError(f"No progress was printed:\n{''.join(printed)}")


def measure() -> list[Finding]:
    """Two whole commands, one after the other, into a fresh folder."""
    what = "scaffold new, to the first progress line of train.py fit"
    seconds = floors({what: first_line_seconds}, ROUNDS)
    return [Finding(what, seconds[what], "s", promised=10)]
