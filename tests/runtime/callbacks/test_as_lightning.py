"""The same callback in the same run under Lightning: the same weights, rates and state."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime

lightning = pytest.importorskip("lightning.pytorch")


def loader():
    x = torch.linspace(-1, 1, 64).reshape(32, 2)
    return DataLoader(TensorDataset(x, x.sum(1, True).sin()), batch_size=8)


def make_net(library):
    class Net(library.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.backbone = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
            self.layer = nn.Linear(4, 1)
            self.seen = []

        def forward(self, x):
            return self.layer(self.backbone(x))

        def training_step(self, batch, batch_idx):
            loss = nn.functional.mse_loss(self(batch[0]), batch[1])
            self.seen.append(loss.item())
            return loss

        def validation_step(self, batch, batch_idx):
            loss = nn.functional.mse_loss(self(batch[0]), batch[1])
            self.log("val_loss", loss)

        def on_train_epoch_end(self):
            optimizer = self.trainer.optimizers[0]
            self.seen.append([group["lr"] for group in optimizer.param_groups])
            self.seen.append((self.trainer.global_step, self.trainer.should_stop))
            self.seen.append(self.trainer.callback_metrics["val_loss"].item())

        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return self(batch[0])

        def configure_optimizers(self):
            trainable = [p for p in self.parameters() if p.requires_grad]
            return torch.optim.SGD(trainable, lr=0.1, momentum=0.9)

        train_dataloader = val_dataloader = predict_dataloader = lambda self: loader()

    return Net()


def run(library, callback, folder, **options):
    """Fit; return what the module saw, its weights, and the callback."""
    trainer = library.Trainer(
        accelerator="cpu",
        max_epochs=4,
        callbacks=[callback],
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )
    model = make_net(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model)
    return model.seen, dict(model.state_dict()), trainer


def state_of(callback):
    """Its state as numbers, without words of its own."""
    return {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in callback.state_dict().items()
        if name != "stopping_reason_message"
    }


CASES = {
    "ema": ("EMAWeightAveraging", {"decay": 0.5}),
    "ema every 2nd from 3": (
        "EMAWeightAveraging",
        {"decay": 0.7, "update_every_n_steps": 2, "update_starting_at_step": 3},
    ),
    "ema by epoch": (
        "EMAWeightAveraging",
        {"decay": 0.5, "update_every_n_steps": 100, "update_starting_at_epoch": 1},
    ),
    "mean": ("WeightAveraging", {}),
    "mean without buffers": ("WeightAveraging", {"use_buffers": False}),
    "backbone": ("BackboneFinetuning", {"unfreeze_backbone_at_epoch": 1}),
    "backbone freely": (
        "BackboneFinetuning",
        {
            "unfreeze_backbone_at_epoch": 2,
            "backbone_initial_lr": 0.05,
            "should_align": False,
            "train_bn": False,
        },
    ),
    "accumulation": ("GradientAccumulationScheduler", {"scheduling": {1: 2, 3: 4}}),
    "stop by patience": (
        "EarlyStopping",
        {"monitor": "val_loss", "patience": 1, "min_delta": 1.0},
    ),
    "stop by threshold": (
        "EarlyStopping",
        {"monitor": "val_loss", "stopping_threshold": 0.5},
    ),
    "stop by divergence": (
        "EarlyStopping",
        {"monitor": "val_loss", "divergence_threshold": 1e-9, "mode": "min"},
    ),
    "stop after validation": (
        "EarlyStopping",
        {
            "monitor": "val_loss",
            "mode": "max",
            "patience": 2,
            "check_on_train_epoch_end": False,
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fit_with_it_is_lightnings(case, tmp_path):
    name, arguments = CASES[case]
    theirs, ours = (
        run(library, getattr(library.callbacks, name)(**arguments), tmp_path)
        for library in (lightning, scaffold_runtime)
    )
    assert ours[0] == theirs[0]
    for key, value in theirs[1].items():
        assert torch.equal(ours[1][key], value), key
    their_callback, our_callback = theirs[2].callbacks[0], ours[2].callbacks[0]
    assert our_callback.state_key == their_callback.state_key
    if name != "BackboneFinetuning":  # its groups, there without the newest
        expected, found = state_of(their_callback), state_of(our_callback)
        assert {key: found[key] for key in expected} == expected
    if name == "EarlyStopping":
        for attribute in ("stopped_epoch", "wait_count", "best_score"):
            expected = getattr(their_callback, attribute)
            assert getattr(our_callback, attribute) == expected, attribute


def record_writer(library, interval, calls):
    class Writer(library.callbacks.BasePredictionWriter):
        def write_on_batch_end(self, trainer, pl_module, prediction, indices, *place):
            calls.append((prediction.tolist(), indices, *place[1:]))

        def write_on_epoch_end(self, trainer, pl_module, predictions, indices):
            calls.append((tree_map(torch.Tensor.tolist, predictions), indices))

    return Writer(interval)


@pytest.mark.parametrize("interval", ["batch", "epoch", "batch_and_epoch"])
def test_predictions_are_written_as_lightning_does(interval, tmp_path):
    found = []
    for library in (lightning, scaffold_runtime):
        calls = []
        trainer = library.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            callbacks=[record_writer(library, interval, calls)],
            default_root_dir=tmp_path,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.predict(make_net(library), return_predictions=True)
        found.append(calls)
    assert found[0] == found[1]


def test_throughput_is_logged_at_lightnings_steps_under_its_names(tmp_path):
    found = []
    for library in (lightning, scaffold_runtime):
        records = []

        class Records(library.loggers.Logger):
            name, version = "records", 0

            def log_hyperparams(self, params):
                pass

            def log_metrics(self, metrics, step=None, records=records):
                counts = {k: v for k, v in metrics.items() if "sec" not in k}
                records.append((step, sorted(metrics), counts))

        monitor = library.callbacks.ThroughputMonitor(
            lambda batch: len(batch[0]), length_fn=lambda batch: 16, window_size=2
        )
        trainer = library.Trainer(
            accelerator="cpu",
            max_epochs=2,
            logger=Records(),
            log_every_n_steps=2,
            callbacks=[monitor],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(make_net(library))
        found.append(
            [
                (step, keys, {k: v for k, v in counts.items() if "time" not in k})
                for step, keys, counts in records
                if any("batches" in key for key in keys)
            ]
        )
    assert found[0] == found[1]
