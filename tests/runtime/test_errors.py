"""A user's error is one sentence, wherever it was raised."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from scaffold_runtime.errors import DataError, UserError


class Unreadable(Dataset[torch.Tensor]):
    """Two samples, of which neither can be read."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        raise DataError(f"The image {index}.png cannot be read.")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_the_data_is_one_sentence_with_or_without_workers(workers):
    with pytest.raises(DataError) as error:
        list(DataLoader(Unreadable(), num_workers=workers))
    assert str(error.value) == "The image 0.png cannot be read."


def test_a_message_stays_as_it_is():
    assert str(UserError("Set trainer.max_epochs: it is 0.")) == (
        "Set trainer.max_epochs: it is 0."
    )
