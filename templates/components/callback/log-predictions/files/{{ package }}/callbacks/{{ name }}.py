"""{{ class_name }}: what was predicted for each sample of a test."""

import csv
from pathlib import Path
from typing import Any

import scaffold_runtime as L
from torch import Tensor


class {{ class_name }}(L.Callback):
    """Write `predictions.csv` to the run's folder: a row for each sample of a test.

    It needs a `test_step` that returns the probabilities, (B, classes), of a batch of
    inputs and labels.
    """

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin with an empty table."""
        self.rows: list[tuple[int, int, float]] = []

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Tensor,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the rows of a batch; `outputs`: (B, classes)."""
        _, labels = batch
        probabilities, classes = outputs.max(dim=1)
        columns = (labels.tolist(), classes.tolist(), probabilities.tolist())
        self.rows.extend(zip(*columns, strict=True))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"predictions{trainer.global_rank or ''}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "prediction", "probability"])
            writer.writerows(self.rows)
