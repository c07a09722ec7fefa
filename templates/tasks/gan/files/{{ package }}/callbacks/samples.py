"""What a training shows: the same noise, drawn anew after each epoch."""

import warnings
from pathlib import Path

import scaffold_runtime as L
import torch
from scaffold_runtime.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from torch import Tensor

from {{ package }}.figures import contact_sheet, to_pillow
from {{ package }}.model import Model


class SampleSheet(L.Callback):
    """After each epoch, draw a row of images of each class, always from the same noise.

    Written to `samples/` in the run's folder, and given to each logger that takes images.

    Args:
        columns: Images of each class.
    """

    def __init__(self, columns: int = 10) -> None:
        self.columns = columns

    def on_train_epoch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Draw, write and log."""
        assert isinstance(pl_module, Model)
        # Every process must ask: the first one's answer is sent to the others.
        folder = Path(trainer.log_dir or trainer.default_root_dir) / "samples"
        if trainer.is_global_zero:
            sheet = self.draw(pl_module)
            folder.mkdir(parents=True, exist_ok=True)
            to_pillow(sheet).save(folder / f"epoch={trainer.current_epoch}.png")
            for logger in trainer.loggers:
                try:
                    log_image(logger, "samples", sheet, trainer.global_step)
                except Exception as error:  # a server that is away must not end the run
                    warnings.warn(f"The samples were not logged: {error}", stacklevel=2)

    @torch.no_grad()
    def draw(self, model: Model) -> Tensor:  # -> (C, height, width)
        """The sheet, on the CPU, without a trace in the random state of the training."""
        labels = torch.arange(len(model.classes)).repeat_interleave(self.columns)
        same = torch.Generator().manual_seed(0)
        noise = torch.randn(len(labels), model.noise_size, generator=same)
        images = model(noise.to(model.device), labels.to(model.device))
        return contact_sheet(images, self.columns).cpu()


def log_image(logger: object, name: str, image: Tensor, step: int) -> None:
    """Give a (C, H, W) image to a logger, if it is one that takes images."""
    match logger:
        case TensorBoardLogger():
            logger.experiment.add_image(name, image, step)
        case WandbLogger():
            logger.log_image(name, [to_pillow(image)], step)
        case MLFlowLogger():
            pixels = to_pillow(image)
            logger.experiment.log_image(logger.run_id, pixels, key=name, step=step)
