import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

encoder = nn.Sequential(nn.Linear(8 * 8, 16), nn.ReLU(), nn.Linear(16, 3))
decoder = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 8 * 8))


class LitAutoEncoder(L.LightningModule):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def training_step(self, batch, batch_idx):
        (x,) = batch
        x = x.view(x.size(0), -1)
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


autoencoder = LitAutoEncoder(encoder, decoder)
train_loader = DataLoader(TensorDataset(torch.randn(200, 1, 8, 8)), batch_size=4)
trainer = L.Trainer(limit_train_batches=20, max_epochs=1)
trainer.fit(model=autoencoder, train_dataloaders=train_loader)

checkpoint = "./lightning_logs/version_0/checkpoints/epoch=0-step=20.ckpt"
autoencoder = LitAutoEncoder.load_from_checkpoint(
    checkpoint, encoder=encoder, decoder=decoder
)
autoencoder.eval()
embeddings = autoencoder.encoder(torch.rand(4, 8 * 8, device=autoencoder.device))
print("embeddings", tuple(embeddings.shape))
