import random

import pytest
import torch
from torch import nn

from scaffold.architecture import layers
from scaffold.errors import UsageError

ARCHITECTURE = "conv 32, conv 64, pool, flatten, linear 128, linear 10"


def test_every_layer_with_what_it_makes() -> None:
    assert [(layer.code, layer.shape) for layer in layers(ARCHITECTURE, "1x8x8")] == [
        ("nn.Conv2d(1, 32, kernel_size=3, padding=1)", (32, 8, 8)),
        ("nn.ReLU()", (32, 8, 8)),
        ("nn.Conv2d(32, 64, kernel_size=3, padding=1)", (64, 8, 8)),
        ("nn.ReLU()", (64, 8, 8)),
        ("nn.MaxPool2d(2)", (64, 4, 4)),
        ("nn.Flatten()", (1024,)),
        ("nn.Linear(1024, 128)", (128,)),
        ("nn.ReLU()", (128,)),
        ("nn.Linear(128, 10)", (10,)),
    ]


@pytest.mark.parametrize("seed", range(30))
def test_the_shapes_are_torch_s(seed: int) -> None:
    choose = random.Random(seed)
    words = choose.choices(["conv 3", "conv 8", "pool", "pool 3", "dropout 20"], k=3)
    words += choose.choices([["average", "flatten"], ["flatten"]])[0]
    words += ["linear 7", "dropout", "linear 4"]
    shape = tuple(choose.randint(27, 33) for _ in range(2))
    made = torch.rand(2, 3, *shape)
    for layer in layers(", ".join(words), f"3x{shape[0]}x{shape[1]}"):
        made = eval(layer.code, {"nn": nn})(made)
        assert made.shape == (2, *layer.shape)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            "conv 8, linear 10",
            "layer 2, 'linear 10', takes (N,), which 'flatten' makes, and is given"
            " (8, 8, 8).",
        ),
        (
            "flatten, conv 8, linear 10",
            "layer 2, 'conv 8', takes (C, H, W) and is given (64,).",
        ),
        ("flatten, average, linear 1", "layer 2, 'average', takes (C, H, W) and is"),
        (
            "pool, pool, pool, pool, flatten, linear 10",
            "layer 4, 'pool', takes (C, H, W) with H and W of at least 2 and is given"
            " (1, 1, 1).",
        ),
        ("conv 8, flatten", "the last layer, 'flatten', makes (512,): end with"),
        ("covn 8, linear 2", "layer 1, 'covn 8', is unknown: did you mean 'conv'?"),
        ("conv, linear 2", "layer 1, 'conv', is not 'conv CHANNELS'."),
        ("conv 0, linear 2", "layer 1, 'conv 0', is not 'conv CHANNELS'."),
        ("conv 8 3, linear 2", "layer 1, 'conv 8 3', is not 'conv CHANNELS'."),
        ("dropout 100, linear 2", "'dropout 100' leaves nothing: say 1 to 99."),
        ("flatten 2, linear 2", "layer 1, 'flatten 2', takes no number"),
        ("flatten,, linear 2", "layer 2, '', is unknown"),
        ("", "layer 1, '', is unknown"),
        ("{{ x }}", "layer 1, '{{ x }}', is unknown"),
    ],
)
def test_what_cannot_be_is_refused(architecture: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        layers(architecture, "1x8x8")
    assert message in str(error.value)
