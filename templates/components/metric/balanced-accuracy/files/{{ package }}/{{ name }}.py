"""{{ class_name }}: how much of each class is recognised."""

import torch
from torch import Tensor
from torchmetrics import Metric


class {{ class_name }}(Metric):
    """The accuracy of each class, averaged: a rare class counts as much as any other.

    Args:
        classes: How many there are.
    """

    right: Tensor  # (classes,)
    seen: Tensor  # (classes,)

    def __init__(self, classes: int) -> None:
        super().__init__()
        # Counts add up over batches and processes; shares of batches would not.
        for state in ("right", "seen"):
            zeros = torch.zeros(classes, dtype=torch.long)
            self.add_state(state, zeros, dist_reduce_fx="sum")

    def update(self, scores: Tensor, labels: Tensor) -> None:  # (B, classes), (B,)
        """Count the samples of a batch."""
        hits = labels[scores.argmax(dim=1) == labels]
        self.right += hits.bincount(minlength=len(self.right))
        self.seen += labels.bincount(minlength=len(self.seen))

    def compute(self) -> Tensor:
        """The mean over the classes that were seen."""
        there = self.seen > 0
        return (self.right[there] / self.seen[there]).mean()
