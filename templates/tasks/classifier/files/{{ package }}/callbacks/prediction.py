"""What a prediction shows: each image's class and its probability."""

from typing import Any

import scaffold_runtime as L

from {{ package }}.model import Model


class PrintPredictions(L.Callback):
    """Print each image's path, class and probability."""

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Print the lines of a batch; `outputs`: (B, classes)."""
        assert isinstance(pl_module, Model)
        _, names = batch
        probabilities, classes = outputs.max(dim=1)
        for name, index, probability in zip(
            names, classes.tolist(), probabilities.tolist(), strict=True
        ):
            print(f"{name}: {pl_module.classes[index]} ({probability:.1%})")
