import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lit_classifier import LitClassifier
from mnist_datamodule import MNISTDataModule


def make_trainer(max_epochs):
    return L.Trainer(
        max_epochs=max_epochs,
        logger=CSVLogger("."),
        callbacks=ModelCheckpoint(save_last=True),
    )


trainer = make_trainer(max_epochs=2)
trainer.fit(LitClassifier(), MNISTDataModule())
trainer = make_trainer(max_epochs=3)
trainer.fit(
    LitClassifier(),
    MNISTDataModule(),
    ckpt_path="lightning_logs/version_0/checkpoints/last.ckpt",
)
print("epochs", trainer.current_epoch, "steps", trainer.global_step)
