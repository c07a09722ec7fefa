"""The model: its steps, its noise, its average, and what it draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scaffold_runtime as L
import torch
from scaffold_runtime import DataError
from torch import Tensor, nn

from {{ package }}.data import Data
from {{ package }}.model import Model


def inputs_of(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """What the network is called with, from now on."""
    calls: list[tuple[Tensor, Tensor]] = []
    network.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))
    return calls


class AfterEachBatch(L.Callback):
    """Calls a function with the model."""

    def __init__(self, look: Callable[[Model], Any]) -> None:
        self.look = look

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, Model)
        self.look(pl_module)


def test_the_last_batch_of_an_epoch_may_be_smaller(
    model: Model, data: Data, trainer: Callable[..., L.Trainer]
) -> None:
    judged = inputs_of(model.discriminator)
    fitted = trainer(max_epochs=1)
    fitted.fit(model, data)
    # 87 images: in each batch real ones, drawn ones, and the same for the generator.
    sizes = [len(images) for images, _ in judged]
    assert sizes == [16] * 3 * 5 + [7] * 3
    assert fitted.global_step == 2 * 6


def test_every_step_draws_from_new_noise(
    model: Model, data: Data, trainer: Callable[..., L.Trainer]
) -> None:
    drawn = inputs_of(model.generator)
    trainer(max_epochs=2).fit(model, data)
    noise = torch.cat([noise for noise, _ in drawn])
    assert noise.shape == (2 * 87, model.noise_size)
    assert len({tuple(row) for row in noise.tolist()}) == len(noise)


def test_both_networks_learn(
    model: Model, data: Data, trainer: Callable[..., L.Trainer]
) -> None:
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainer(max_epochs=1, limit_train_batches=2).fit(model, data)
    for name, value in model.named_parameters():
        assert not torch.equal(value, before[name]), name
        assert value.requires_grad != name.startswith("average"), name


def test_the_average_follows_the_generator(
    model: Model, data: Data, trainer: Callable[..., L.Trainer]
) -> None:
    def weights(network: nn.Module) -> Tensor:
        return nn.utils.parameters_to_vector(network.parameters()).detach().clone()

    expected = [weights(model.generator)]
    look = AfterEachBatch(
        lambda model: expected.append(
            0.99 * expected[-1] + 0.01 * weights(model.generator)
        )
    )
    trainer(max_epochs=1, callbacks=[look]).fit(model, data)
    torch.testing.assert_close(weights(model.average), expected[-1])


def test_a_validation_compares_with_as_many_images_of_the_same_classes(
    model: Model, data: Data, trainer: Callable[..., L.Trainer]
) -> None:
    asked = inputs_of(model.average)
    validator = trainer(max_epochs=1)
    first, second = (validator.validate(model, data, verbose=False) for _ in range(2))
    labels = torch.cat([labels for _, labels in asked[: len(asked) // 2]])
    assert labels.tolist() == data.splits["val"].labels
    assert first == second
    assert first[0]["val_mmd"] > 0


def test_draws_images_from_a_checkpoint_alone(
    model: Model, data: Data, trainer: Callable[..., L.Trainer], tmp_path: Path
) -> None:
    fitted = trainer(max_epochs=1)
    fitted.fit(model, data)
    fitted.save_checkpoint(tmp_path / "model.ckpt")

    loaded = Model.load_from_checkpoint(tmp_path / "model.ckpt")
    torch.manual_seed(0)
    row = loaded.draw(["light", "dark", "light"])

    torch.manual_seed(0)
    assert row.tobytes() == model.draw(["light", "dark", "light"]).tobytes()
    assert row.width == 3 * row.height
    with pytest.raises(DataError, match="no class 'grey'"):
        loaded.draw(["dark", "grey"])
