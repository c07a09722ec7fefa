"""The two-sample statistic, beside its definition."""

import math

import pytest
import torch
from scaffold_runtime import DataError
from torch import Tensor

from {{ package }}.mmd import squared_mmd


def reference(real: Tensor, generated: Tensor) -> float:
    """The definition, pair by pair."""

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    def distances(x: Tensor, y: Tensor) -> list[float]:
        return [float((a - b).norm()) for a in x for b in y if a is not b]

    def pairs(x: Tensor) -> list[float]:
        return [float((x[i] - x[j]).norm()) for i in range(len(x)) for j in range(i)]

    width = sorted(pairs(real))[(len(pairs(real)) - 1) // 2]
    same, other, both = (
        mean([math.exp(-(d**2) / (2 * width**2)) for d in found])
        for found in (pairs(real), pairs(generated), distances(real, generated))
    )
    return same + other - 2 * both


def test_it_is_what_the_definition_says() -> None:
    torch.manual_seed(0)
    real, generated = torch.rand(7, 5), torch.rand(9, 5) + 0.3
    expected = reference(real, generated)
    assert float(squared_mmd(real, generated)) == pytest.approx(expected, rel=1e-5)


def test_samples_of_one_distribution_give_zero_on_average() -> None:
    torch.manual_seed(0)
    values = [squared_mmd(torch.randn(20, 4), torch.randn(20, 4)) for _ in range(200)]
    mean, spread = torch.stack(values).mean(), torch.stack(values).std()
    assert abs(mean) < 3 * spread / math.sqrt(len(values))
    assert min(values) < 0


def test_it_grows_with_the_distance() -> None:
    torch.manual_seed(0)
    real, like = torch.randn(50, 4), torch.randn(50, 4)
    near, far = squared_mmd(real, like + 0.5), squared_mmd(real, like + 1.0)
    assert 0 < near < far


def test_one_image_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="at least two images"):
        squared_mmd(torch.rand(1, 4), torch.rand(5, 4))
