"""Two processes train what one would."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

PROJECT = Path(__file__).parents[1]


def gradients(images: Path, path: Path, processes: int) -> dict[str, Tensor]:
    """The gradients of one step of `processes` processes on the same global batch."""
    launch = ["-m", "torch.distributed.run", "--standalone"]
    script = [f"--nproc-per-node={processes}", "tests/gradients.py"]
    done = subprocess.run(
        [sys.executable, *launch, *script, str(images), str(path)],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    saved: dict[str, Tensor] = torch.load(path, weights_only=True)
    return saved


def test_two_processes_give_the_gradients_of_one(images: Path, tmp_path: Path) -> None:
    one = gradients(images, tmp_path / "one.pt", processes=1)
    two = gradients(images, tmp_path / "two.pt", processes=2)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-6)
