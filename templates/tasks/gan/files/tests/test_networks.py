"""The networks: their shapes, and what they cannot draw."""

import pytest
import torch
from scaffold_runtime import DataError

from {{ package }}.networks import Discriminator, Generator


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 20), (3, 32, 32)])
def test_an_image_of_each_class_and_a_score_of_each_image(
    shape: tuple[int, int, int],
) -> None:
    generator = Generator(shape, classes=3, widths=(8, 16, 24), noise_size=5)
    discriminator = Discriminator(shape, classes=3, widths=(8, 16, 24))
    labels = torch.tensor([0, 2, 1, 2])
    images = generator(torch.randn(4, 5), labels)
    assert images.shape == (4, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert discriminator(images, labels).shape == (4,)


def test_noise_and_class_both_change_the_image() -> None:
    generator = Generator((1, 8, 8), classes=3, widths=(8, 16), noise_size=5)
    noise, other = torch.randn(2, 1, 5)
    zero, one = torch.tensor([0]), torch.tensor([1])
    assert not torch.equal(generator(noise, zero), generator(other, zero))
    assert not torch.equal(generator(noise, zero), generator(noise, one))


def test_an_image_does_not_depend_on_its_batch() -> None:
    generator = Generator((1, 8, 8), classes=3, widths=(8, 16), noise_size=5)
    noise, labels = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    alone = generator(noise[:1], labels[:1])
    torch.testing.assert_close(generator(noise, labels)[:1], alone)


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(DataError, match="30x28 pixels cannot be halved 2 times"):
        Discriminator((1, 30, 28), classes=3, widths=(8, 16, 24))
