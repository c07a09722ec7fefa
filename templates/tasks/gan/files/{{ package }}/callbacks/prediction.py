"""What a prediction leaves: the images that were drawn."""

from pathlib import Path
from typing import Any

import scaffold_runtime as L

from {{ package }}.figures import to_pillow


class WriteImages(L.Callback):
    """Write each image to `generated/` in the run's folder, in a folder of its class."""

    def on_predict_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Ask for the folder; every process must, since the first one chooses it."""
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / "generated"

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the images of a batch; `outputs`: (B, C, H, W)."""
        _, names = batch
        for name, image in zip(names, outputs, strict=True):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            to_pillow(image).save(path)

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where they are."""
        if trainer.is_global_zero:
            print(f"images of each class: {self.folder}")
