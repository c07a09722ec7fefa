import lightning as L
from lit_classifier import LitClassifier
from mnist_datamodule import MNISTDataModule

dm = MNISTDataModule(batch_size=16)
model = LitClassifier(hidden_dim=32)
trainer = L.Trainer(max_epochs=3, accelerator="cpu")
trainer.fit(model, datamodule=dm)
(validated,) = trainer.validate(datamodule=dm)
(tested,) = trainer.test(datamodule=dm)
predictions = trainer.predict(datamodule=dm)
print(sorted(validated), sorted(tested), [len(batch) for batch in predictions])
