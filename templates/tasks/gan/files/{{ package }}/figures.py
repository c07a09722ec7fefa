"""Figures: images side by side."""

import math

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

SIDE = 48  # pixels, the least of an image on a sheet
MARGIN = 2  # pixels, around it


def contact_sheet(images: Tensor, columns: int) -> Tensor:
    # (N, C, H, W) -> (C, rows * height, columns * width)
    """Images in [0, 1] row by row, the small ones enlarged until a person sees them."""
    scale = math.ceil(SIDE / max(images.shape[2:]))
    large = images.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    empty = -len(images) % columns
    cells = pad(large, (MARGIN, MARGIN, MARGIN, MARGIN, 0, 0, 0, empty))
    # (rows, columns, C, height, width)
    grid = cells.view(-1, columns, *cells.shape[1:])
    return grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def to_pillow(image: Tensor) -> Image.Image:
    """A (C, H, W) tensor in [0, 1], of 1 or 3 channels, as a Pillow image."""
    channels, height, width = image.shape
    pixels = (255 * image).round().to(torch.uint8).permute(1, 2, 0)
    mode = "L" if channels == 1 else "RGB"
    return Image.frombytes(mode, (width, height), bytes(pixels.flatten().tolist()))
