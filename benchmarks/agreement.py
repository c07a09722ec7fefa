"""What it costs two ranks to agree, once a step, on a stop and on finite numbers.

The step is that of an MLP of 5 million parameters under DDP, on two processes of one
thread each. Where training does it, between the backward pass and the optimizer's step,
the gradients have just brought the ranks together.
"""

import json
import math
import subprocess
import sys
import time

import torch
from torch import nn

from benchmarks.measure import Finding

STEPS = 200
WARM_UP = 20
BATCH_SIZE = 64
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2")


def measure() -> list[Finding]:
    """Least seconds over the steps of one run, of a step and of the agreement in it."""
    command = [sys.executable, "-m", *TORCHRUN, "-m", __name__]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    agreement, step = json.loads(done.stdout)
    return [
        Finding(
            "agreement of 2 ranks on stop and finiteness, each step",
            agreement * 1e6,
            "us",
            "the step of a 5M-parameter MLP",
            step * 1e6,
            0.02,
        )
    ]


def train() -> None:
    """Train on this rank; rank 0 prints what was least."""
    from scaffold_runtime.engine import Engine

    torch.set_num_threads(1)
    engine = Engine(devices=2)
    engine.launch()
    network = nn.Sequential(
        nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 1600), nn.Linear(1600, 10)
    )
    model = engine.setup(network)
    optimizer = torch.optim.AdamW(model.parameters())
    x, y = torch.randn(BATCH_SIZE, 784), torch.randint(10, (BATCH_SIZE,))
    agreements, steps = [], []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        engine.backward(loss)
        before = time.perf_counter()
        engine.agree_on_most(int(not math.isfinite(loss.item())), 0)
        agreements.append(time.perf_counter() - before)
        engine.step(optimizer)
        steps.append(time.perf_counter() - start)
    if engine.is_global_zero:
        print(json.dumps([min(times[WARM_UP:]) for times in (agreements, steps)]))


if __name__ == "__main__":
    train()
