import lightning as L
from lightning.pytorch.callbacks import (
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger
from lit_classifier import LitClassifier
from mnist_datamodule import MNISTDataModule

L.seed_everything(42, workers=True)
early_stopping = EarlyStopping(
    monitor="val_loss", mode="min", patience=2, min_delta=9.0
)
checkpoint = ModelCheckpoint(
    monitor="val_loss", filename="{epoch:02d}-{val_loss:.2f}", save_top_k=2, mode="min"
)
trainer = L.Trainer(
    max_epochs=20,
    accelerator="auto",
    devices=1,
    logger=CSVLogger("logs", name="mnist"),
    callbacks=[
        early_stopping,
        checkpoint,
        LearningRateMonitor(logging_interval="epoch"),
    ],
    log_every_n_steps=2,
)
trainer.fit(LitClassifier(), datamodule=MNISTDataModule())
print("stopped", early_stopping.stopped_epoch, "kept", len(checkpoint.best_k_models))
