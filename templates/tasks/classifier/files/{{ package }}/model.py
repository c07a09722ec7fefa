"""The model: its layers, its loss and its optimizer."""

import math
from pathlib import Path
from typing import Any

import scaffold_runtime as L
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from {{ package }}.images import Shape, as_input, load_image


class Model(L.LightningModule):
    """A small convolutional network that classifies images of any size.

    Args:
        image_shape: (C, H, W) of an image; taken from the data.
        classes: The names of the classes; taken from the data.
        widths: Channels of each stage; every stage after the first halves the image.
        dropout: Share of the last features that is dropped in training.
        learning_rate: Its highest value, after the warm-up; from there it falls to zero.
        warmup_steps: Optimizer steps until the learning rate is at its highest; at most
            a tenth of all steps.
        weight_decay: AdamW's.
    """

    def __init__(
        self,
        image_shape: Shape,
        classes: list[str],
        widths: tuple[int, ...] = (32, 64),
        dropout: float = 0.1,
        learning_rate: float = 3e-3,
        warmup_steps: int = 50,
        weight_decay: float = 0.05,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape = image_shape
        self.classes = classes
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.stages = nn.Sequential()
        channels = image_shape[0]
        for width in widths:
            if self.stages:
                self.stages.append(nn.MaxPool2d(2, ceil_mode=True))
            self.stages.extend([*conv(channels, width), *conv(width, width)])
            channels = width
        self.head: nn.Module = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels, len(classes)),
        )

    def forward(self, images: Tensor) -> Tensor:  # (B, C, H, W) -> (B, classes)
        """The scores of the classes, before softmax."""
        scores: Tensor = self.head(self.stages(images))
        return scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch of images and labels."""
        images, labels = batch
        loss = cross_entropy(self(images), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the validation loss and accuracy."""
        self.evaluate(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Log the test loss and accuracy; the probabilities go to the callbacks."""
        return self.evaluate(batch, "test").softmax(dim=1)

    def evaluate(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        """Log loss and accuracy of a batch, and give its scores: (B, classes)."""
        images, labels = batch
        scores: Tensor = self(images)
        accuracy = (scores.argmax(dim=1) == labels).float().mean()
        metrics = {
            f"{stage}_loss": cross_entropy(scores, labels),
            f"{stage}_acc": accuracy,
        }
        self.log_dict(metrics, prog_bar=True, sync_dist=True)
        return scores

    def predict_step(self, batch: tuple[Tensor, Any], batch_idx: int) -> Tensor:
        """The probabilities of the classes, (B, classes)."""
        images, _ = batch
        scores: Tensor = self(images)
        return scores.softmax(dim=1)

    @torch.inference_mode()
    def predict(self, path: str | Path) -> tuple[str, float]:
        """The class of an image file, and its probability. Puts the model in eval mode."""
        self.eval()
        image = as_input(load_image(Path(path)), self.image_shape).to(self.device)
        probability, index = self(image[None]).softmax(dim=1)[0].max(dim=0)
        return self.classes[int(index)], float(probability)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW; the learning rate warms up, then falls along a cosine."""
        optimizer = torch.optim.AdamW(
            self.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        total_steps = self.trainer.estimated_stepping_batches
        warmup_steps = min(self.warmup_steps, total_steps / 10)

        def share(step: int) -> float:
            """Share of the highest learning rate at an optimizer step."""
            cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))
            return min(1.0, (step + 1) / (warmup_steps + 1)) * cosine

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def conv(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution with norm and activation: (B, inputs, H, W) -> (B, outputs, H, W)."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        # Not BatchNorm: a sample's result must not depend on the batch it comes in, or
        # two processes would train another model than one.
        nn.GroupNorm(math.gcd(8, outputs), outputs),
        nn.ReLU(),
    ]
