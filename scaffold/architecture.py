"""Networks in words ("conv 32, pool, flatten, linear 10"), and their shapes in numbers.

Each kind of layer is one small rule: from the shape that it is given to the code of the
layer and the shape that it makes. Shapes are without the batch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from scaffold.errors import UsageError, did_you_mean, quoted

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One line of the network.

    Attributes:
        code: what makes it (`nn.Linear(64, 10)`).
        shape: what it makes of what the layer above made.
    """

    code: str
    shape: Shape


class _Unfit(Exception):
    """The layer cannot take this shape; says which it takes."""


def layers(architecture: str, shape: str) -> list[Layer]:
    """Return the layers of a network, activations included.

    Args:
        architecture: layers with their number, parted by commas.
        shape: of one input ("1x8x8").

    Raises:
        UsageError: a layer is unknown, lacks its number, or cannot take what the layers
            above it make.
    """
    made = tuple(map(int, shape.split("x")))
    network = []
    words = [word.strip() for word in architecture.split(",")]
    for place, word in enumerate(words, start=1):
        rule, number = _parse(word, place)
        try:
            code, after = rule(made, number)
        except _Unfit as wanted:
            raise UsageError(
                f"layer {place}, {word!r}, takes {wanted} and is given {_show(made)}."
            ) from None
        network.append(Layer(code, after))
        made = after
        if rule in (_conv, _linear) and place < len(words):
            network.append(Layer("nn.ReLU()", made))
    if rule is not _linear:
        raise UsageError(
            f"the last layer, {word!r}, makes {_show(made)}: end with 'linear N' for N "
            "classes, whose scores have the shape (N,)."
        )
    return network


def _parse(word: str, place: int) -> tuple[_Rule, int]:
    """Return the rule and the number of a layer's words."""
    found = re.fullmatch(r"([a-z]+)(?: ([1-9][0-9]{0,5}))?", word)
    name = found[1] if found else word.partition(" ")[0]
    if name not in _RULES:
        raise UsageError(
            f"layer {place}, {quoted(word)}, is unknown: {did_you_mean(name, _RULES)}"
        )
    rule, default, meaning = _RULES[name]
    number = found[2] if found else None
    if found is None or (number is None and default is None):
        raise UsageError(f"layer {place}, {quoted(word)}, is not '{name} {meaning}'.")
    if number is not None and not meaning:
        raise UsageError(f"layer {place}, {word!r}, takes no number: write {name!r}.")
    return rule, int(number or default or 0)


def _conv(shape: Shape, channels: int) -> tuple[str, Shape]:
    """3x3, padded so that height and width stay."""
    given, height, width = _image(shape)
    code = f"nn.Conv2d({given}, {channels}, kernel_size=3, padding=1)"
    return code, (channels, height, width)


def _pool(shape: Shape, size: int) -> tuple[str, Shape]:
    """Floor division: what is left over at the edge is dropped."""
    channels, height, width = _image(shape)
    if min(height, width) < size:
        raise _Unfit(f"(C, H, W) with H and W of at least {size}")
    return f"nn.MaxPool2d({size})", (channels, height // size, width // size)


def _average(shape: Shape, _: int) -> tuple[str, Shape]:
    return "nn.AdaptiveAvgPool2d(1)", (_image(shape)[0], 1, 1)


def _flatten(shape: Shape, _: int) -> tuple[str, Shape]:
    return "nn.Flatten()", (math.prod(shape),)


def _linear(shape: Shape, features: int) -> tuple[str, Shape]:
    if len(shape) != 1:
        raise _Unfit("(N,), which 'flatten' makes,")
    return f"nn.Linear({shape[0]}, {features})", (features,)


def _dropout(shape: Shape, percent: int) -> tuple[str, Shape]:
    if percent >= 100:
        raise UsageError(f"'dropout {percent}' leaves nothing: say 1 to 99.")
    return f"nn.Dropout({percent / 100})", shape


def _image(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise _Unfit("(C, H, W)")
    return shape[0], shape[1], shape[2]


def _show(shape: Shape) -> str:
    return str(tuple(shape))


_Rule = Callable[[Shape, int], tuple[str, Shape]]
# The word: its rule, the number where none is given, and what the number means.
_RULES: dict[str, tuple[_Rule, int | None, str]] = {
    "conv": (_conv, None, "CHANNELS"),
    "pool": (_pool, 2, "SIZE"),
    "average": (_average, 0, ""),
    "flatten": (_flatten, 0, ""),
    "linear": (_linear, None, "FEATURES"),
    "dropout": (_dropout, 50, "PERCENT"),
}
