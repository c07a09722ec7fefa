#% set network = architecture(arch, input)
#% set shape = input.replace("x", ", ")
#% set classes = network[-1].shape[0]
"""{{ class_name }}: its shapes, and that it learns."""

from collections.abc import Callable
from pathlib import Path

import pytest
import scaffold_runtime as L
import torch
from scaffold_runtime import DataError

from {{ package }}.{{ name }} import {{ class_name }}

CLASSES = [str(number) for number in range({{ classes }})]
SHAPES = [
#% for layer in network
    {{ layer.shape }},
#% endfor
]


def test_each_layer_makes_the_shape_that_stands_behind_it() -> None:
    model = {{ class_name }}(({{ shape }}), CLASSES)
    made = torch.rand(2, {{ shape }})
    for layer, shape in zip([*model.stages, model.head], SHAPES, strict=True):
        made = layer(made)
        assert made.shape == (2, *shape)


def test_a_fit_changes_every_layer_and_can_be_loaded(
    trainer: Callable[..., L.Trainer], tmp_path: Path
) -> None:
    L.seed_everything(0)
    model = {{ class_name }}(({{ shape }}), CLASSES)
    before = [parameter.clone() for parameter in model.parameters()]
    batch = torch.rand(8, {{ shape }}), torch.arange(8) % len(CLASSES)
    fitted = trainer(max_epochs=3)
    fitted.fit(model, [batch])
    for old, new in zip(before, model.parameters(), strict=True):
        assert not torch.equal(old, new)
    fitted.save_checkpoint(tmp_path / "model.ckpt")
    loaded = {{ class_name }}.load_from_checkpoint(tmp_path / "model.ckpt")
    torch.testing.assert_close(loaded.eval()(batch[0]), model.eval()(batch[0]))


def test_other_data_is_refused() -> None:
    with pytest.raises(DataError, match="change its layers"):
        {{ class_name }}(({{ shape }}), ["one", *CLASSES])
