"""A program of two ranks of which one gets a loss that is NaN. Arguments: folder, what to do."""

import sys
import warnings

import torch
from torch import nn

import scaffold_runtime as L
from tests.reliability.recorded_run import QUIET, Samples, loader


class SickOnRankOne(L.LightningModule):
    """The third loss of rank 1 is NaN."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).square().mean()
        sick = self.global_rank == 1 and self.trainer.progress.batches == 2
        return loss * float("nan") if sick else loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main(folder, on_nonfinite):
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    module = SickOnRankOne()
    trainer = L.Trainer(
        default_root_dir=folder,
        max_epochs=1,
        devices=2,
        on_nonfinite=on_nonfinite,
        enable_checkpointing=False,
        **QUIET,
    )
    error = ""
    try:
        trainer.fit(module, loader(dataset=Samples(augment=False)))
    except L.errors.NonFiniteError as caught:
        error = str(caught)
    result = {
        "error": error,
        "step": trainer.global_step,
        "weights": module.state_dict(),
    }
    torch.save(result, f"{folder}/rank{trainer.global_rank}.out")


if __name__ == "__main__":
    main(*sys.argv[1:])
