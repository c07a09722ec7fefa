"""What it costs to write a checkpoint durably and to verify it before it is read."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.measure import Finding, floors

ROUNDS = 15
MEGABYTES = 256


def seconds(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure() -> list[Finding]:
    """One process; the file is in the page cache when it is read."""
    from scaffold_runtime.checkpoint import verify_checkpoint, write_checkpoint

    state = {f"layer{i}": torch.randn(MEGABYTES // 8, 2**18) for i in range(8)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.ckpt")
        peer = Path(folder, "peer.ckpt")
        write_checkpoint(state, file)
        floor = floors(
            {
                "write": lambda: seconds(lambda: write_checkpoint(state, file)),
                "save": lambda: seconds(lambda: torch.save(state, peer)),
                "verify": lambda: seconds(lambda: verify_checkpoint(file)),
                "load": lambda: seconds(lambda: torch.load(file, weights_only=True)),
            },
            ROUNDS,
        )
    size = f"a checkpoint of {MEGABYTES} MB"
    return [
        Finding(
            f"verify {size}", floor["verify"], "s", "torch.load", floor["load"], 0.5
        ),
        Finding(
            f"write {size}, to the disk",
            floor["write"],
            "s",
            "torch.save",
            floor["save"],
        ),
    ]
