"""Modules and a callback of users, each with something that a resume must bring back."""

import math

import torch
import torchmetrics
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from scaffold_runtime.callbacks import BaseFinetuning
from tests.reliability.recorded_run import Net


class NetWithMetrics(Net):
    """Metrics of torchmetrics: logged in steps, gathered in silence, and in validation."""

    def __init__(self):
        super().__init__()
        self.mean, self.gathered = torchmetrics.MeanMetric(), torchmetrics.CatMetric()
        self.val_mean = torchmetrics.MeanMetric()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.mean(loss.detach())
        self.log("mean", self.mean, on_step=True, on_epoch=True)
        self.gathered.update(loss.detach())
        return loss

    def on_train_epoch_end(self):
        self.log("gathered", self.gathered.compute().sum())
        self.gathered.reset()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)
        self.val_mean.update(torch.rand(()))
        self.log("val_mean", self.val_mean)


class NetWithPlateaus(Net):
    """A scheduler that looks at the loss of the step within each epoch."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        scheduler = ReduceLROnPlateau(optimizer, patience=0)
        config = {"scheduler": scheduler, "interval": "step", "frequency": 3}
        return {"optimizer": optimizer, "lr_scheduler": {**config, "monitor": "loss"}}


class NetWithPlateausOfEpochs(Net):
    """A scheduler that looks at the loss of the epoch."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        scheduler = ReduceLROnPlateau(optimizer, patience=0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "loss"},
        }


class NetInParts(Net):
    """Gives the optimizer what can be trained, as finetuning asks for."""

    def configure_optimizers(self):
        trainable = filter(lambda p: p.requires_grad, self.parameters())
        return torch.optim.AdamW(trainable, lr=0.05)


class ThawLastLayer(BaseFinetuning):
    """Trains without the last layer in the first epoch, and never trains the first."""

    def freeze_before_training(self, pl_module):
        self.freeze([pl_module.layers[0], pl_module.layers[3]])

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.layers[3], optimizer, 0.01)


class ManualNet(Net):
    """Two optimizers, stepped by hand, one of them at every second batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.other = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        first, second = self.optimizers()
        first.zero_grad()
        self.manual_backward(loss)
        first.step()
        self.manual_backward(self.other(batch[0] + torch.randn(4)).square().mean())
        if batch_idx % 2:
            second.step()
            second.zero_grad()
        self.lr_schedulers().step()

    def configure_optimizers(self):
        first = torch.optim.Adam(self.layers.parameters())
        second = torch.optim.Adam(self.other.parameters())
        return [first, second], [torch.optim.lr_scheduler.StepLR(first, 3)]


class NetOfSeveral(Net):
    """Trains on the batches of all loaders that have one, as if they were one batch."""

    def training_step(self, batch, batch_idx):
        parts = batch.values() if isinstance(batch, dict) else [batch]
        columns = zip(*filter(None, parts), strict=True)
        return super().training_step([*map(torch.cat, columns)], batch_idx)


class NetOfLBFGS(Net):
    """Steps by a closure, three passes a step."""

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.01, max_iter=3)


class NetOfOneCycle(Net):
    """An optimizer with several states, and a schedule that sets its momentum."""

    def configure_optimizers(self):
        optimizer = torch.optim.RMSprop(
            self.parameters(), lr=0.01, centered=True, momentum=0.5
        )
        scheduler = OneCycleLR(optimizer, 0.02, total_steps=400)
        return [optimizer], [
            {"scheduler": scheduler, "interval": "step", "frequency": 2}
        ]


class NetWithOwnStep(Net):
    """Changes the optimizer after each step, by the number of the step."""

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        optimizer.step(closure=optimizer_closure)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.01 * (self.global_step % 3)


class NetThatSkips(Net):
    """Skips batches by chance, and the rest of the second epoch by intent."""

    def on_train_batch_start(self, batch, batch_idx):
        return -1 if (self.current_epoch, batch_idx) == (1, 6) else None

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return None if torch.rand(()) < 0.2 else loss


class NetThatOverflows(Net):
    """Has a loss that is not finite, by chance."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * math.nan if torch.rand(()) < 0.2 else loss


class NetThatStops(Net):
    """Asks for the end in the middle of the second epoch."""

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 3):
            self.trainer.should_stop = True
        return super().training_step(batch, batch_idx)
