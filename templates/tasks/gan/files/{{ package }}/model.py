"""The model: two networks that learn from each other, and an average of one of them."""

import copy
from typing import Any

import scaffold_runtime as L
import torch
from PIL import Image
from scaffold_runtime import DataError
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam, Optimizer

from {{ package }}.figures import contact_sheet, to_pillow
from {{ package }}.gathering import gather
from {{ package }}.images import Shape
from {{ package }}.mmd import squared_mmd
from {{ package }}.networks import Discriminator, Generator


class Model(L.LightningModule):
    """A conditional DCGAN: it draws images of a class that is asked for.

    Images are drawn by `average`, a moving average of the generator, which is part of every
    checkpoint.

    Args:
        image_shape: (C, H, W) of an image; taken from the data.
        classes: The names of the classes; taken from the data.
        widths: Channels of each stage of both networks, the image's side first; every
            stage after the first has half the height and width.
        noise_size: Random numbers that an image is drawn from.
        learning_rate: Of both optimizers.
        decay: Share of `average` that stays at each step.
    """

    def __init__(
        self,
        image_shape: Shape,
        classes: list[str],
        widths: tuple[int, ...] = (16, 32, 64),
        noise_size: int = 64,
        learning_rate: float = 1e-3,
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.classes = classes
        self.noise_size = noise_size
        self.learning_rate = learning_rate
        self.decay = decay
        self.generator = Generator(image_shape, len(classes), widths, noise_size)
        self.discriminator = Discriminator(image_shape, len(classes), widths)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        # (B, noise_size), (B,) -> (B, C, H, W)
        """Images of the classes `labels`, in [0, 1]."""
        images: Tensor = self.average(noise.to(self.dtype), labels)
        return images

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """A step of the discriminator, then one of the generator."""
        real, labels = batch
        generator_optimizer, discriminator_optimizer = self.optimizers()
        drawn = self.generator(self.fresh_noise(len(labels)), labels)

        on_real = loss(self.discriminator(real, labels), real=True)
        on_drawn = loss(self.discriminator(drawn.detach(), labels), real=False)
        discriminator_loss = on_real + on_drawn
        discriminator_optimizer.zero_grad()
        self.manual_backward(discriminator_loss)
        discriminator_optimizer.step()

        # The discriminator passes gradients on; its own weights need none.
        with self.toggled_optimizer(generator_optimizer):
            generator_loss = loss(self.discriminator(drawn, labels), real=True)
            generator_optimizer.zero_grad()
            self.manual_backward(generator_loss)
            generator_optimizer.step()
        self.update_average()

        self.log("discriminator_loss", discriminator_loss, prog_bar=True)
        self.log("generator_loss", generator_loss, prog_bar=True)

    def fresh_noise(self, count: int) -> Tensor:  # -> (count, noise_size)
        """Noise that was never drawn before, in each process another.

        Several processes have the same random numbers: each draws for all and takes the
        rows of its own images. So they train what one would, as long as a batch can be
        shared equally.
        """
        processes = self.trainer.world_size
        rows = torch.randn(count * processes, self.noise_size)
        return rows[self.global_rank :: processes].to(self.device)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the generator."""
        weights = zip(
            self.average.parameters(), self.generator.parameters(), strict=True
        )
        for average, current in weights:
            average.lerp_(current, 1 - self.decay)

    def on_validation_epoch_start(self) -> None:
        """Forget what was compared before."""
        self.start_comparison()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Draw as many images as there are real ones, of the same classes."""
        self.compare(batch)

    def on_validation_epoch_end(self) -> None:
        """Log how far they are from the real ones."""
        self.log("val_mmd", self.distance(), prog_bar=True)

    def on_test_epoch_start(self) -> None:
        """Forget what was compared before."""
        self.start_comparison()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Draw as many images as there are real ones, of the same classes."""
        self.compare(batch)

    def on_test_epoch_end(self) -> None:
        """Log how far they are from the real ones."""
        self.log("test_mmd", self.distance())

    def start_comparison(self) -> None:
        """Begin with no images, and with the same noise as ever."""
        self.real: list[Tensor] = []
        self.drawn: list[Tensor] = []
        self.known_noise = torch.Generator().manual_seed(self.global_rank)

    def compare(self, batch: tuple[Tensor, Tensor]) -> None:
        """Keep a batch of real images, and draw their like."""
        real, labels = batch
        noise = torch.randn(len(labels), self.noise_size, generator=self.known_noise)
        drawn = self(noise.to(self.device), labels)
        self.real.append(real.flatten(1).float())
        self.drawn.append(drawn.flatten(1).float())

    def distance(self) -> Tensor:  # -> ()
        """The squared MMD between the pixels of the images that all processes compared."""
        real, drawn = (gather(self, torch.cat(own)) for own in (self.real, self.drawn))
        return squared_mmd(real.cpu(), drawn.cpu())

    def predict_step(self, batch: tuple[Tensor, Any], batch_idx: int) -> Tensor:
        """New images of the classes in a batch, (B, C, H, W) in [0, 1]."""
        labels, _ = batch
        images: Tensor = self(self.fresh_noise(len(labels)), labels)
        return images

    @torch.inference_mode()
    def draw(self, names: list[str]) -> Image.Image:
        """A row of new images, one for each class named.

        Raises:
            DataError: There is no class of such a name.
        """
        for name in set(names).difference(self.classes):
            raise DataError(f"There is no class {name!r}, only {self.classes}.")
        labels = torch.tensor([self.classes.index(name) for name in names])
        noise = torch.randn(len(names), self.noise_size)
        images: Tensor = self(noise.to(self.device), labels.to(self.device))
        return to_pillow(contact_sheet(images, columns=len(names)))

    def configure_optimizers(self) -> list[Optimizer]:
        """Adam for each network, with the momentum of DCGAN."""

        def adam(network: nn.Module) -> Optimizer:
            return Adam(network.parameters(), self.learning_rate, betas=(0.5, 0.999))

        return [adam(self.generator), adam(self.discriminator)]


def loss(scores: Tensor, real: bool) -> Tensor:  # (B,) -> ()
    """The cross entropy of scores that should all say "real", or all "drawn"."""
    # As many targets as scores: the last batch of an epoch is smaller.
    targets = torch.full_like(scores, float(real))
    return binary_cross_entropy_with_logits(scores, targets)
