"""What every strategy does, on two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None

import scaffold_runtime as L

engine = L.Engine(accelerator="cpu", strategy="ddp", devices=2)
engine.launch()
said = engine.broadcast({"folder": "runs", "numbers": (1, 2)} if engine.rank == 1 else None, 1)
assert said == {"folder": "runs", "numbers": (1, 2)}
"""


def test_ranks_tell_each_other_without_numpy(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(WITHOUT_NUMPY)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
