"""Run by the tests in one process or several: `training.py FOLDER STRATEGY DEVICES [CKPT]`.

Trains small models of the same seed and the same global batch in several ways, and writes
what each rank saw to FOLDER/rank-N.json. With CKPT, one of them goes on from there.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.distributed.fsdp import CPUOffload, MixedPrecision
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.strategies import FSDPStrategy

GLOBAL_BATCH, SAMPLES = 8, 36


class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(6, 6) for _ in range(2)])
        self.head = nn.Linear(6, 1)
        self.losses, self.seen = [], []

    def forward(self, x):
        for block in self.blocks:
            x = torch.tanh(block(x))
        return self.head(x)

    def training_step(self, batch, batch_idx):
        x, y, index = batch
        loss = nn.functional.mse_loss(self(x), y)
        self.losses.append(self.all_gather(loss.detach()).mean().item())
        self.seen.append(index.tolist())
        self.log("loss", loss, on_step=True, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y, _ = batch
        self.log("val_loss", nn.functional.mse_loss(self(x), y), sync_dist=True)
        self.log("samples", float(len(x)), reduce_fx="sum", sync_dist=True)

    def predict_step(self, batch, batch_idx):
        return batch[2].tolist()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


class ByHand(Net):
    """A backward pass and a step within the training step."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.optimizers().zero_grad()
        self.manual_backward(loss)
        self.optimizers().step()


class Normed(Net):
    """Every block is followed by a normalisation over the batch."""

    def __init__(self):
        super().__init__()
        for block in self.blocks:
            block.bias = None  # its gradient would be noise
        self.blocks.append(nn.BatchNorm1d(6))


class InTurn(Net):
    """Two optimizers in turn, each with a loss that reaches its own parameters alone."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        x, y, _ = batch
        hidden = torch.tanh(self.blocks[0](x))
        first.zero_grad()
        self.manual_backward(hidden.square().mean() + hidden.sum(1).cos().mean())
        first.step()
        loss = nn.functional.mse_loss(
            self.head(torch.tanh(self.blocks[1](hidden.detach()))), y
        )
        with self.toggled_optimizer(second):
            second.zero_grad()
            self.manual_backward(loss)
            second.step()
        self.losses.append(self.all_gather(loss.detach()).mean().item())
        self.log("loss", loss, on_step=True, on_epoch=True, sync_dist=True)

    def configure_optimizers(self):
        second = [*self.blocks[1].parameters(), *self.head.parameters()]
        return [
            torch.optim.Adam(parameters, lr=0.01)
            for parameters in (self.blocks[0].parameters(), second)
        ]


class SaveInMidEpoch(L.Callback):
    """Leaves `mid.ckpt` after the third of an epoch's five steps."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 3:
            trainer.save_checkpoint(f"{trainer.default_root_dir}/mid.ckpt")


def loader(world_size, shuffle):
    x = torch.sin(torch.arange(SAMPLES * 6, dtype=torch.float32)).reshape(SAMPLES, 6)
    y = torch.cos(x.sum(1, keepdim=True))
    data = TensorDataset(x, y, torch.arange(SAMPLES))
    return DataLoader(data, batch_size=GLOBAL_BATCH // world_size, shuffle=shuffle)


def words_of_fsdp1():
    """The strategy as FSDP1's documentation writes it, on two replicas of one shard."""
    linear = partial(transformer_auto_wrap_policy, transformer_layer_cls={nn.Linear})
    return FSDPStrategy(
        auto_wrap_policy=linear,
        activation_checkpointing_policy=linear,
        sharding_strategy="HYBRID_SHARD",
        device_mesh=(2, 1),
        mixed_precision=MixedPrecision(torch.bfloat16, torch.float32),
        cpu_offload=CPUOffload(offload_params=False),
        use_orig_params=True,
    )


WAYS = {
    "plain": {},
    "accumulated": {"accumulate_grad_batches": 2, "gradient_clip_val": 0.05},
    "bf16": {"precision": "bf16-mixed"},
    "by hand": {},
    "in turn": {},
    "batch norm": {"sync_batchnorm": True},
    "words of fsdp1": {},
}
NETS = {"by hand": ByHand, "in turn": InTurn, "batch norm": Normed}


def run(way, arguments, folder, strategy, devices, ckpt_path=None):
    L.seed_everything(11, verbose=False)
    net = NETS.get(way, Net)()
    if way == "words of fsdp1" and strategy == "fsdp":
        strategy = words_of_fsdp1()
    keeper = ModelCheckpoint(folder / way, monitor="val_loss", save_last=True)
    trainer = L.Trainer(
        accelerator="cpu",
        strategy=strategy,
        devices=devices,
        max_epochs=2,
        logger=False,
        callbacks=[keeper, SaveInMidEpoch()] if way == "plain" else keeper,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **arguments,
    )
    data = loader(trainer.world_size, True), loader(trainer.world_size, False)
    trainer.fit(net, *data, ckpt_path=ckpt_path)
    said = f"after fit of {way}: rank {trainer.global_rank}\n"
    os.write(1, said.encode())  # two ranks' lines stay whole in one pipe
    loss_epoch = trainer.callback_metrics["loss_epoch"].item()
    validated = trainer.validate(net, data[1], verbose=False)[0]
    predicted = trainer.predict(net, data[1])
    parameter = net.blocks[0].weight
    local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return {
        "losses": net.losses,
        "seen": net.seen,
        "loss_epoch": loss_epoch,
        "validated": validated,
        "predicted": [item for batch in predicted for item in batch],
        "steps": trainer.global_step,
        "local_shape": list(local.shape),
        "best": os.path.basename(keeper.best_model_path),
        "saved": sorted(os.listdir(folder / way)),
    }


def main():
    folder, strategy, devices = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    count = devices if devices == "auto" else int(devices)
    results = {
        way: run(way, arguments, folder, strategy, count)
        for way, arguments in WAYS.items()
        if not (way in ("by hand", "in turn") and strategy == "fsdp")
    }
    if len(sys.argv) > 4:
        results["resumed"] = run("resumed", {}, folder, strategy, count, sys.argv[4])
    rank = os.environ.get("RANK", "0")
    (folder / f"rank-{rank}.json").write_text(json.dumps(results))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    if os.environ.get("EXIT_OF_RANK_1") and rank == "1":
        sys.exit(int(os.environ["EXIT_OF_RANK_1"]))


if __name__ == "__main__":
    main()
