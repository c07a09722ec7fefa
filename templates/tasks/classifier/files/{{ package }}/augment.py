"""Random changes of training images, a whole batch at once, on the batch's device."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def random_affine(
    images: Tensor, degrees: float, shift: float, zoom: float
) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
    """Turn, move and scale each image by its own random amount.

    Args:
        images: The batch.
        degrees: The largest turn to either side.
        shift: The largest move, as a share of the image's side.
        zoom: The largest change of size, as a share of it.
    """

    def uniform(limit: float, *shape: int) -> Tensor:
        return limit * (2 * torch.rand(len(images), *shape, device=images.device) - 1)

    angle = uniform(math.radians(degrees))
    scale = 1 + uniform(zoom)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rotation = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    # The grid runs from -1 to 1: a share of the side is twice as much there.
    translation = uniform(2 * shift, 2, 1)
    theta = torch.cat([rotation, translation], dim=2)  # (B, 2, 3)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
