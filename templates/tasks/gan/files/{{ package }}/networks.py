"""The two networks: one draws images, the other tells them from real ones."""

import math

import torch
from scaffold_runtime import DataError
from torch import Tensor, nn
from torch.nn.functional import one_hot

from {{ package }}.images import Shape


class Generator(nn.Module):
    """Draws an image of a class from noise, by transposed convolutions as DCGAN's.

    Radford et al. 2016, https://arxiv.org/abs/1511.06434.

    Args:
        image_shape: (C, H, W) of an image.
        classes: How many there are.
        widths: Channels of each stage, the image's side first; every stage after the
            first has half the height and width.
        noise_size: Random numbers that an image is drawn from.
    """

    def __init__(
        self, image_shape: Shape, classes: int, widths: tuple[int, ...], noise_size: int
    ) -> None:
        super().__init__()
        self.classes = classes
        height, width = smallest_size(image_shape, widths)
        self.layers = nn.Sequential(
            nn.Linear(noise_size + classes, widths[-1] * height * width),
            nn.Unflatten(1, (widths[-1], height, width)),
            *norm(widths[-1]),
        )
        for outputs, inputs in zip(widths[-2::-1], widths[:0:-1], strict=True):
            up = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
            self.layers.extend([up, *norm(outputs)])
        self.layers.append(nn.Conv2d(widths[0], image_shape[0], 3, padding=1))
        self.layers.append(nn.Sigmoid())

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        # (B, noise_size), (B,) -> (B, C, H, W)
        """Images of the classes `labels`, in [0, 1]."""
        wanted = one_hot(labels, self.classes)
        images: Tensor = self.layers(torch.cat([noise, wanted], dim=1))
        return images


class Discriminator(nn.Module):
    """Says whether an image is a real one of a class.

    Args:
        image_shape: (C, H, W) of an image.
        classes: How many there are.
        widths: As the generator's.
    """

    def __init__(
        self, image_shape: Shape, classes: int, widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        height, width = smallest_size(image_shape, widths)
        self.layers = nn.Sequential(
            nn.Conv2d(image_shape[0], widths[0], 3, padding=1), nn.LeakyReLU(0.2)
        )
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            down = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
            self.layers.extend([down, nn.LeakyReLU(0.2)])
        head = nn.Linear(widths[-1] * height * width, classes)
        self.layers.extend([nn.Flatten(), head])

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        # (B, C, H, W), (B,) -> (B,)
        """The score of each image, above zero if it looks like a real one of its class."""
        scores: Tensor = self.layers(2 * images - 1)  # (B, classes)
        return scores.gather(1, labels[:, None]).squeeze(1)


def smallest_size(image_shape: Shape, widths: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an image that was halved once less than there are stages.

    Raises:
        DataError: They cannot be halved so often.
    """
    _, height, width = image_shape
    parts = 2 ** (len(widths) - 1)
    if height % parts or width % parts:
        raise DataError(
            f"Images of {height}x{width} pixels cannot be halved {len(widths) - 1} times:"
            f" set data.shape to multiples of {parts}, or shorten model.widths."
        )
    return height // parts, width // parts


def norm(channels: int) -> list[nn.Module]:
    """Norm and activation of the generator."""
    return [
        # Not DCGAN's BatchNorm: an image must not depend on the batch it is drawn in, or
        # two processes would train another model than one.
        nn.GroupNorm(math.gcd(8, channels), channels),
        nn.ReLU(),
    ]
