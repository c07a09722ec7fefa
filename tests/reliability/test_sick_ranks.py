"""All ranks do the same about a loss that only one of them finds to be NaN."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.reliability.recorded_run import differences

TOP = Path(__file__).parents[2]


def outcomes(folder, on_nonfinite):
    command = [
        sys.executable,
        "-m",
        "tests.reliability.sick_ranks",
        folder,
        on_nonfinite,
    ]
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'runtime'}"}
    subprocess.run(command, cwd=TOP, env=environment, check=True)
    ranks = [
        torch.load(folder / f"rank{rank}.out", weights_only=True) for rank in (0, 1)
    ]
    assert differences(ranks[0]["weights"], ranks[1]["weights"]) == []
    assert all(weight.isfinite().all() for weight in ranks[0]["weights"].values())
    return ranks


def test_all_stop_at_the_same_step(tmp_path):
    ranks = outcomes(tmp_path, "stop")
    assert [rank["step"] for rank in ranks] == [2, 2]
    assert "Another rank found a loss that is not finite" in ranks[0]["error"]
    assert "The loss of batch 2 is nan" in ranks[1]["error"]


@pytest.mark.full
def test_all_skip_the_same_step(tmp_path):
    ranks = outcomes(tmp_path, "skip")
    assert [rank["step"] for rank in ranks] == [3, 3]  # of 4
    assert [rank["error"] for rank in ranks] == ["", ""]
