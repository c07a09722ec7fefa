from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset, random_split


class MNISTDataModule(L.LightningDataModule):
    """Ten blurred patterns in the place of MNIST, "downloaded" once."""

    def __init__(self, data_dir: str = "data", batch_size: int = 32):
        super().__init__()
        self.data_dir = Path(data_dir)
        self.batch_size = batch_size

    def prepare_data(self):
        self.data_dir.mkdir(exist_ok=True)
        generator = torch.Generator().manual_seed(0)
        patterns = torch.randn(10, 1, 8, 8, generator=generator)
        labels = torch.arange(320) % 10
        noise = torch.randn(320, 1, 8, 8, generator=generator)
        torch.save((patterns[labels] + 0.5 * noise, labels), self.data_dir / "mnist.pt")

    def setup(self, stage: str):
        images, labels = torch.load(self.data_dir / "mnist.pt")
        if stage == "fit":
            self.mnist_train, self.mnist_val = random_split(
                TensorDataset(images[:256], labels[:256]),
                [192, 64],
                generator=torch.Generator().manual_seed(42),
            )
        if stage in ("test", "predict"):
            self.mnist_test = TensorDataset(images[256:], labels[256:])

    def train_dataloader(self):
        return DataLoader(self.mnist_train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.mnist_val, batch_size=self.batch_size)

    def test_dataloader(self):
        return DataLoader(self.mnist_test, batch_size=self.batch_size)

    def predict_dataloader(self):
        return DataLoader(self.mnist_test, batch_size=self.batch_size)
