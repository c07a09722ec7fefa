"""{{ class_name }}: training images that are a mixture of two."""

import scaffold_runtime as L
import torch
from torch import Tensor
from torch.distributions import Beta


class {{ class_name }}(L.Callback):
    """Mix each image of a training batch with another one of it; its label stays.

    Mixup (Zhang et al., https://arxiv.org/abs/1710.09412) mixes the labels too. For a
    loss that is linear in the label, as cross-entropy is, the share of the image itself
    can be drawn from Beta(alpha + 1, alpha) instead, in place of Beta(alpha, alpha): the
    mean loss is the same, and the model needs no change.

    Args:
        alpha: The larger, the more of the other image is mixed in: a share of
            alpha / (2 alpha + 1) on average.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        self.share = Beta(alpha + 1, alpha)

    def on_train_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: tuple[Tensor, Tensor],
        batch_idx: int,
    ) -> None:
        """Change the images, (B, C, H, W), in place."""
        images, _ = batch
        # Drawn on the CPU: a run that is resumed draws the same shares again.
        share = self.share.sample((len(images), 1, 1, 1)).to(images)
        images.copy_(images[torch.randperm(len(images))].lerp(images, share))
