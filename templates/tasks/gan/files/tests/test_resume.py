"""A run that was stopped and resumed ends as if it had never been stopped."""

from collections.abc import Callable
from pathlib import Path

import scaffold_runtime as L
import torch
from scaffold_runtime.callbacks import ModelCheckpoint

from {{ package }}.data import Data
from {{ package }}.model import Model


def test_one_epoch_and_one_resumed_equal_two(
    model: Model, data: Data, trainer: Callable[..., L.Trainer], tmp_path: Path
) -> None:
    keep_all = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    uninterrupted = trainer(
        max_epochs=2, enable_checkpointing=True, callbacks=[keep_all]
    )
    uninterrupted.fit(model, data)
    first, second = tmp_path / "epoch=0.ckpt", tmp_path / "epoch=1.ckpt"

    L.seed_everything(1)  # Nothing may depend on what this process drew before.
    resumed = Model(data.image_shape, data.classes, widths=(8, 16))
    keep_none = ModelCheckpoint(tmp_path, save_top_k=0)
    again = trainer(max_epochs=2, enable_checkpointing=True, callbacks=[keep_none])
    again.fit(resumed, data, ckpt_path=first)

    expected = torch.load(second, weights_only=True)
    assert resumed.state_dict().keys() == expected["state_dict"].keys()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected["state_dict"][name]), name
    for optimizer, state in zip(
        again.optimizers, expected["optimizer_states"], strict=True
    ):
        for number, moments in optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                assert torch.equal(value, state["state"][number][name]), name
