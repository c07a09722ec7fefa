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
import torch

engine = L.Engine(accelerator="cpu", strategy="ddp", devices=2)
engine.launch()
said = engine.broadcast({"folder": "runs", "numbers": (1, 2)} if engine.rank == 1 else None, 1)
assert said == {"folder": "runs", "numbers": (1, 2)}
own = torch.tensor([1.0, 2.0 + engine.rank], requires_grad=True)
gathered = engine.all_gather(own, sync_grads=True)
assert gathered.tolist() == [[1.0, 2.0], [1.0, 3.0]] == engine.all_gather(own).tolist()
(gathered * (engine.rank + 1)).sum().backward()
assert own.grad.tolist() == [3.0, 3.0]
assert engine.all_reduce(own, "max").tolist() == [1.0, 3.0]
assert engine.agree(engine.rank == 0, all=False) and not engine.agree(engine.rank == 0)

class Scaled(torch.nn.Linear):
    def forward(self, x, scale=1.0):
        return super().forward(x) * scale


model = engine.setup(Scaled(2, 1))
x = torch.ones(1, 2)
assert torch.equal(model(x, scale=2.0), 2 * model(x))
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
