from functools import partial

import lightning as L
import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.feed_forward = nn.Linear(width, width)

    def forward(self, x):
        x = x + self.attention(x, x, x)[0]
        return x + torch.relu(self.feed_forward(x))


class LanguageModel(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = None

    def configure_model(self):
        if self.model is None:
            blocks = [Block() for _ in range(2)]
            self.model = nn.Sequential(nn.Embedding(32, 16), *blocks, nn.Linear(16, 32))

    def training_step(self, batch, batch_idx):
        (tokens,) = batch
        logits = self.model(tokens[:, :-1])
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten()
        )
        self.log("train_loss", loss, sync_dist=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


if __name__ == "__main__":
    policy = partial(transformer_auto_wrap_policy, transformer_layer_cls={Block})
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=FSDPStrategy(auto_wrap_policy=policy, cpu_offload=False),
        max_epochs=1,
    )
    tokens = torch.arange(32 * 9).reshape(32, 9) % 32
    trainer.fit(LanguageModel(), DataLoader(TensorDataset(tokens), batch_size=4))
    trainer.print("steps", trainer.global_step)
