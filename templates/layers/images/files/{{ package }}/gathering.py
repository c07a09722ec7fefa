"""What the processes of a run hold together."""

import scaffold_runtime as L
import torch
from torch import Tensor
from torch.nn.functional import pad


def gather(pl_module: L.LightningModule, own: Tensor) -> Tensor:
    """The rows of all processes, in the order of the data: (n, C) -> (N, C).

    Process r of W has rows r, r + W, ...: the first processes may have one more.
    """
    counts: Tensor = pl_module.all_gather(torch.tensor(len(own), device=own.device))
    padded = pad(own, (0, 0, 0, int(counts.max()) - len(own)))
    rows: Tensor = pl_module.all_gather(padded).view(counts.numel(), *padded.shape)
    return rows.transpose(0, 1).flatten(0, 1)[: int(counts.sum())]
