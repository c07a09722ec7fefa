from argparse import Namespace
from dataclasses import dataclass

import numpy
import pytest
import torch

from scaffold_runtime.loggers.hyperparameter import as_dict, flatten, sanitize


@dataclass
class Net:
    width: int = 3


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"a": {"b": "c"}}, {"a/b": "c"}),
        ({5: {"a": 123}}, {"5/a": 123}),
        (
            {"dl": [{"a": 1, "c": 3}, {"b": 2}], "l": [1, 2]},
            {"dl/0/a": 1, "dl/0/c": 3, "dl/1/b": 2, "l": [1, 2]},
        ),
        ({"net": Net(), "ns": Namespace(x=1)}, {"net/width": 3, "ns/x": 1}),
        ({"empty": []}, {"empty": []}),
    ],
)
def test_flatten(params, expected):
    assert flatten(params) == expected


def test_sanitize_keeps_numbers_and_turns_the_rest_into_text():
    params = {
        "f": 0.5,
        "i": 1,
        "b": True,
        "s": "x",
        "np": numpy.float32(0.5),
        "t": torch.tensor(2),
        "list": [1],
        "none": None,
    }
    assert sanitize(params) == {
        "f": 0.5,
        "i": 1,
        "b": True,
        "s": "x",
        "np": 0.5,
        "t": 2,
        "list": "[1]",
        "none": "None",
    }


@pytest.mark.parametrize("params", [{"width": 3}, Namespace(width=3), Net()])
def test_as_dict_takes_what_users_have(params):
    assert as_dict(params) == {"width": 3}


def test_as_dict_of_nothing():
    assert as_dict(None) == {}
