"""The same command line comes to the same run under LightningCLI and under ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.command_lines import COMMAND_LINES

SCRIPT = Path(__file__).with_name("command_lines.py")
RUNTIME = Path(__file__).parents[2] / "runtime"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What each command line comes to, under either library."""
    found = {}
    for framework in ("lightning", "ours"):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), framework],
            cwd=tmp_path_factory.mktemp(framework),
            env={**os.environ, "PYTHONPATH": str(RUNTIME), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found[framework] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "index", range(len(COMMAND_LINES)), ids=map(str, COMMAND_LINES)
)
def test_same_outcome(index, outcomes):
    assert outcomes["ours"][index] == outcomes["lightning"][index]
