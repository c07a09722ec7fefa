"""A program that trains slowly, so that signals reach it between its steps.

Arguments: folder, devices, seconds a step, and `last` to go on from the last checkpoint.
Each rank writes `rank<N>.pid` when it trains and `rank<N>.out` with its outcome at the end.
"""

import os
import sys
import time
import warnings
from pathlib import Path

import torch

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.strategies import DDPStrategy
from tests.reliability.recorded_run import QUIET, Net, loader, outcome


class Slow(L.Callback):
    """Waits in each step and says where it is."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(self.seconds)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        path = self.folder / f"rank{trainer.global_rank}.pid"
        path.write_text(f"{os.getpid()} {trainer.global_step}")


def main(folder, devices, seconds, *ckpt_path):
    folder, devices = Path(folder), int(devices)
    warnings.filterwarnings("ignore")
    torch.manual_seed(1)
    module = Net()
    L.seed_everything(0, verbose=False)
    trainer = L.Trainer(
        default_root_dir=folder,
        max_epochs=2,
        devices=devices,
        strategy=DDPStrategy(timeout=6) if devices > 1 else "auto",
        callbacks=[Slow(folder, float(seconds)), ModelCheckpoint(folder / "kept")],
        **QUIET,
    )
    trainer.fit(module, loader(), ckpt_path=next(iter(ckpt_path), None))
    result = {**outcome(trainer), "callbacks": None}
    torch.save(result, folder / f"rank{trainer.global_rank}.out")


if __name__ == "__main__":
    main(*sys.argv[1:])
