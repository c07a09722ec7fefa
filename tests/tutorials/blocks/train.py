from lightning.pytorch.cli import LightningCLI
from lit_classifier import LitClassifier
from mnist_datamodule import MNISTDataModule


def cli_main():
    LightningCLI(LitClassifier, MNISTDataModule)


if __name__ == "__main__":
    cli_main()
