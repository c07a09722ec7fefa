"""Figures: a confusion matrix, and a sheet of images with captions."""

import math

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

DARK_BLUE = (8, 64, 129)
SIDE = 96  # pixels, of an image on a sheet
CAPTION = 20  # pixels, below it
COLUMNS = 10


def confusion_figure(confusion: Tensor, classes: list[str]) -> Image.Image:
    """A confusion matrix, (classes, classes): true classes down, predicted across."""
    cell = max(4, min(40, 1600 // len(classes)))
    font = ImageFont.load_default(size=max(4, cell // 3))
    margin = 32 + round(max(font.getlength(name) for name in classes))
    side = margin + cell * len(classes)
    figure = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(figure)
    draw.text((4, 4), "true \\ predicted", "black", font)
    for i, name in enumerate(classes):
        middle = margin + cell * i + cell // 2
        draw.text((margin - 6, middle), name, "black", font, "rm")
        if font.getlength(name) < cell:
            draw.text((middle, margin - 6), name, "black", font, "ms")
        else:  # a long name stands upright above its column
            label = Image.new("RGB", (margin - 12, cell - 2), "white")
            upright = ImageDraw.Draw(label)
            upright.text((0, cell // 2), name, "black", font, "lm")
            figure.paste(label.rotate(90, expand=True), (margin + cell * i, 6))
    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    for row, column in confusion.nonzero().tolist():
        x, y = margin + cell * column, margin + cell * row
        share = float(shares[row, column])
        red, green, blue = (round(255 - share * (255 - c)) for c in DARK_BLUE)
        draw.rectangle((x, y, x + cell - 2, y + cell - 2), (red, green, blue))
        ink = "white" if share > 0.5 else "black"
        count = str(int(confusion[row, column]))
        draw.text((x + cell // 2, y + cell // 2), count, ink, font, "mm")
    return figure


def contact_sheet(images: list[Tensor], captions: list[str]) -> Image.Image:
    """Images of (C, H, W) uint8, each with a caption below it, ten in a row."""
    font = ImageFont.load_default(size=12)
    width = max(SIDE, *(8 + round(font.getlength(caption)) for caption in captions))
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / COLUMNS)
    sheet = Image.new("RGB", (columns * width, rows * (SIDE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = i % COLUMNS * width, i // COLUMNS * (SIDE + CAPTION)
        thumbnail = to_pillow(image)
        scale = (SIDE - 8) / max(thumbnail.size)
        size = [max(1, round(scale * length)) for length in thumbnail.size]
        # Enlarged pixels stay squares; reduced photographs stay smooth.
        kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
        corner = (x + (width - size[0]) // 2, y + SIDE - size[1])
        sheet.paste(thumbnail.resize((size[0], size[1]), kind), corner)
        draw.text((x + width // 2, y + SIDE + 4), caption, "black", font, "ma")
    return sheet


def to_pillow(image: Tensor) -> Image.Image:
    """A (C, H, W) uint8 tensor of 1 or 3 channels as a Pillow image."""
    channels, height, width = image.shape
    pixels = bytes(image.permute(1, 2, 0).flatten().tolist())
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), pixels)
