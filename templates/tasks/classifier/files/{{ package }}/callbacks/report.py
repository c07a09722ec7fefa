"""What a test shows: results per class, the confusion matrix, the wrong images."""

from pathlib import Path
from typing import Any

import scaffold_runtime as L
import torch
from torch import Tensor

from {{ package }}.data import Data
from {{ package }}.figures import confusion_figure, contact_sheet
from {{ package }}.gathering import gather
from {{ package }}.images import LabelledImages


class Report(L.Callback):
    """After a test, print results per class and write two figures to the run's folder.

    `confusion.png` counts true against predicted classes; `wrong.png` shows the images
    that were classified wrongly, the surest mistakes first.

    Args:
        most_wrong: The largest number of images in `wrong.png`.
    """

    def __init__(self, most_wrong: int = 100) -> None:
        self.most_wrong = most_wrong
        self.probabilities: list[Tensor] = []

    def on_test_epoch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Forget an earlier test."""
        self.probabilities = []

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the probabilities of a batch: (B, classes)."""
        self.probabilities.append(outputs)

    def on_test_epoch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Gather the probabilities of all processes; the first one reports."""
        probabilities = gather(pl_module, torch.cat(self.probabilities)).cpu()
        # Every process must ask: the first one's answer is sent to the others.
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if trainer.is_global_zero:
            assert isinstance(trainer.datamodule, Data)
            self.report(trainer.datamodule.splits["test"], probabilities, folder)

    def report(
        self, images: LabelledImages, probabilities: Tensor, folder: Path
    ) -> None:
        """Print the table and write the figures; `probabilities`: (N, classes)."""
        labels = torch.tensor(images.labels[: len(probabilities)])
        sureness, predicted = probabilities.max(dim=1)
        count = len(images.classes)
        pairs = torch.bincount(labels * count + predicted, minlength=count * count)
        confusion = pairs.view(count, count)
        print(class_table(confusion, images.classes))
        folder.mkdir(parents=True, exist_ok=True)
        confusion_figure(confusion, images.classes).save(folder / "confusion.png")
        print(f"confusion matrix: {folder / 'confusion.png'}")
        wrong = (predicted != labels).nonzero().flatten()
        if len(wrong) == 0:
            return
        surest = wrong[sureness[wrong].argsort(descending=True)][: self.most_wrong]
        names = images.classes
        sheet = contact_sheet(
            [images.stored(i) for i in surest.tolist()],
            [f"{names[labels[i]]}, not {names[predicted[i]]}" for i in surest],
        )
        sheet.save(folder / "wrong.png")
        print(f"{len(wrong)} of {len(labels)} wrong: {folder / 'wrong.png'}")


def class_table(confusion: Tensor, classes: list[str]) -> str:
    """Precision, recall, F1 and number of images of each class, as text.

    `confusion`: (classes, classes) counts; rows are the true classes, columns predicted.
    """
    right = confusion.diagonal()
    predicted, actual = confusion.sum(dim=0), confusion.sum(dim=1)
    results = torch.stack(
        [
            right / predicted.clamp(min=1),
            right / actual.clamp(min=1),
            2 * right / (predicted + actual).clamp(min=1),
        ],
        dim=1,
    )
    width = max(len("class"), *map(len, classes))
    lines = [f"{'class':{width}}  precision  recall     F1  images"]
    for name, (precision, recall, f1), images in zip(
        classes, results.tolist(), actual.tolist(), strict=True
    ):
        lines.append(
            f"{name:{width}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {images:6}"
        )
    return "\n".join(lines)
