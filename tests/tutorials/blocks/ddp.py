import lightning as L
from lit_classifier import LitClassifier
from mnist_datamodule import MNISTDataModule

if __name__ == "__main__":
    trainer = L.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=2)
    trainer.fit(LitClassifier(), MNISTDataModule())
    trainer.print("steps", trainer.global_step, "of", trainer.world_size, "processes")
