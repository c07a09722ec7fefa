import lightning as L
import torch
from lit_classifier import LitClassifier
from mnist_datamodule import MNISTDataModule

trainer = L.Trainer(max_epochs=1, logger=False, enable_checkpointing=False)
trainer.fit(LitClassifier(hidden_dim=12, learning_rate=0.03), MNISTDataModule())
trainer.save_checkpoint("best_model.ckpt")

model = LitClassifier.load_from_checkpoint("best_model.ckpt")
print(model.hparams.hidden_dim, model.hparams.learning_rate)
model = LitClassifier.load_from_checkpoint(
    "best_model.ckpt", map_location=torch.device("cpu"), learning_rate=0.5
)
print(model.hparams.hidden_dim, model.hparams.learning_rate)
model.freeze()
print(model.training, any(parameter.requires_grad for parameter in model.parameters()))
checkpoint = torch.load("best_model.ckpt", weights_only=False)
print(sorted(checkpoint["hyper_parameters"]), checkpoint["epoch"])
