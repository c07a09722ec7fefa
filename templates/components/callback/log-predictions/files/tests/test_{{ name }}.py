"""{{ class_name }}, driven through a real test."""

from pathlib import Path

import scaffold_runtime as L
from torch import Tensor, tensor
from torch.utils.data import DataLoader, TensorDataset

from {{ package }}.callbacks.{{ name }} import {{ class_name }}


class Echo(L.LightningModule):
    """Its inputs are the probabilities."""

    def test_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        inputs, _ = batch  # (B, classes), (B,)
        return inputs


def test_a_row_for_each_sample(tmp_path: Path) -> None:
    inputs = tensor([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        callbacks=[{{ class_name }}()],
    )
    samples = TensorDataset(inputs, tensor([0, 1, 1]))
    trainer.test(Echo(), DataLoader(samples, batch_size=2))
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "label,prediction,probability",
        "0,0,0.75",
        "1,0,0.5",
        "1,1,1.0",
    ]
