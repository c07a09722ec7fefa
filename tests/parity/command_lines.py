"""What command lines come to: `python command_lines.py lightning|ours` prints it as JSON.

A process of its own for each, because both set up the same parser library their way.
"""

import importlib
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch

CONFIG = """
seed_everything: 3
trainer:
  max_epochs: 9
  logger:
    class_path: lightning.pytorch.loggers.CSVLogger
    init_args: {save_dir: logs, name: mine}
  callbacks:
  - class_path: lightning.pytorch.callbacks.EarlyStopping
    init_args: {monitor: val_loss, patience: 7}
  - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {monitor: val_loss, save_top_k: 2, filename: best}
model: {width: 3, rate: 1e-3}
"""
MORE = "trainer: {max_epochs: 4, limit_train_batches: 0.5}\nmodel: {width: 5}\n"
BARE = "--trainer.enable_progress_bar=false"
COMMAND_LINES = [
    [],
    ["--config=config.yaml"],
    ["--config=config.yaml", "--config=more.yaml"],
    ["--config=more.yaml", "--config=config.yaml", "--trainer.max_epochs=2"],
    ["--config=config.yaml", "--trainer.logger=false"],
    ["--config=config.yaml", "--trainer.logger.init_args.name=other"],
    ["--config=config.yaml", "--trainer.logger.name=other"],
    ["--config=config.yaml", "--trainer.callbacks+=LearningRateMonitor"],
    ["--config=config.yaml", "--trainer.callbacks=[]"],
    ["--config=config.yaml", "--seed_everything=false"],
    ["--config", CONFIG],
    ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"],
    [
        "--trainer.callbacks=EarlyStopping",
        "--trainer.callbacks.monitor=a",
        "--trainer.callbacks+=ModelCheckpoint",
        "--trainer.callbacks.monitor=b",
        "--trainer.callbacks.save_top_k=5",
    ],
    [
        '--trainer.callbacks=[{"class_path": "EarlyStopping", "init_args":'
        ' {"monitor": "a", "patience": 2}}]'
    ],
    ["--trainer.max_steps=12", "--trainer.limit_val_batches=3"],
    ["--trainer.val_check_interval=0.25", "--trainer.log_every_n_steps=2"],
    ["--trainer.check_val_every_n_epoch=3", "--trainer.num_sanity_val_steps=0"],
    ["--trainer.accumulate_grad_batches=4", "--trainer.gradient_clip_val=0.5"],
    ["--trainer.gradient_clip_val=1", "--trainer.gradient_clip_algorithm=value"],
    ["--trainer.precision=bf16-mixed", "--trainer.devices=1"],
    ["--trainer.fast_dev_run=3"],
    ["--trainer.fast_dev_run=true"],
    ["--trainer.overfit_batches=2"],
    ["--trainer.max_time=00:01:00:00"],
    ["--trainer.enable_checkpointing=false"],
    ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=there"],
    ["--trainer.logger+=CSVLogger", "--trainer.logger.save_dir=there"],
    ["--model.rate=1e-2", "--model.names=[a, b]"],
    ["--model.rate", "5", "--model.names+=x", "--model.names+=y"],
    ["--model", "{width: 11, rate: 2}"],
    ["--model.activation=torch.nn.Tanh"],
    ["--model.activation", "{class_path: torch.nn.Softplus, init_args: {beta: 2}}"],
    ["--model.activation=torch.nn.Softplus", "--model.activation.beta=3"],
    ["--data.batch_size=7", "--seed_everything=11"],
    ["--optimizer=Adam", "--optimizer.lr=0.5"],
    ["--optimizer=torch.optim.SGD", "--optimizer.lr=0.5", "--optimizer.momentum=0.9"],
    ["--optimizer", '{"class_path": "AdamW", "init_args": {"lr": 1e-3}}'],
    [
        "--optimizer=SGD",
        "--lr_scheduler=StepLR",
        "--lr_scheduler.step_size=3",
        "--lr_scheduler.gamma=0.25",
    ],
    [
        "--optimizer=SGD",
        "--lr_scheduler=lightning.pytorch.cli.ReduceLROnPlateau",
        "--lr_scheduler.monitor=val_loss",
    ],
    ["--lr_scheduler=ReduceLROnPlateau", "--lr_scheduler.monitor=val_loss"],
    ["--trainer.max_epochs=soon"],
    ["--trainer.nonsense=1"],
    ["--config=nowhere.yaml"],
    ["--model.width=1.5"],
    ["--optimizer=Nothing"],
]
SETTINGS = (
    "max_epochs max_steps limit_train_batches limit_val_batches val_check_interval"
    " check_val_every_n_epoch num_sanity_val_steps log_every_n_steps fast_dev_run"
    " overfit_batches accumulate_grad_batches gradient_clip_val precision"
).split()
CALLBACKS = {
    "EarlyStopping": ("monitor", "patience", "mode"),
    "ModelCheckpoint": ("monitor", "save_top_k", "filename", "dirpath"),
    "LearningRateMonitor": ("logging_interval",),
    "Timer": ("_duration",),
}


def main(framework: str) -> None:
    root = {"lightning": "lightning.pytorch", "ours": "scaffold_runtime"}[framework]
    library = importlib.import_module(root)
    command_line = importlib.import_module(f"{root}.cli").LightningCLI
    module, data = define_project(library)
    Path("config.yaml").write_text(CONFIG)
    Path("more.yaml").write_text(MORE)
    found = []
    for words in COMMAND_LINES:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                cli = command_line(module, data, args=[BARE, *words], run=False)
                found.append(describe(cli))
            except SystemExit as end:
                found.append({"exit": end.code})
    print(json.dumps(found))


def define_project(library):
    """A module and its data, of either library."""

    class Model(library.LightningModule):
        def __init__(
            self,
            width: int = 2,
            rate: float = 0.1,
            names: list[str] | None = None,
            activation: torch.nn.Module | None = None,
        ):
            super().__init__()
            self.save_hyperparameters(ignore="activation")
            self.activation = activation
            self.layer = torch.nn.Linear(2, width)

    class Data(library.LightningDataModule):
        def __init__(self, batch_size: int = 4):
            super().__init__()
            self.batch_size = batch_size

    return Model, Data


def describe(cli):
    """What a command line came to, as plain data; defaults that differ are left out."""
    trainer, model, given = cli.trainer, cli.model, cli.config.trainer
    callbacks = [
        [name, *(getattr(callback, key) for key in CALLBACKS[name])]
        for callback in trainer.callbacks
        if (name := type(callback).__name__) in CALLBACKS
        and name in f"{given.callbacks} {'Timer' if given.max_time else ''}"
    ]
    loggers = [[type(lg).__name__, lg.save_dir, lg.name] for lg in trainer.loggers]
    settings = {name: getattr(trainer, name) for name in SETTINGS}
    return {
        **settings,
        "max_epochs": settings["max_epochs"] if given.max_epochs else None,
        "callbacks": callbacks,
        "loggers": None if given.logger is None else loggers,
        "seed": cli.config.seed_everything,
        "hparams": {k: v for k, v in model.hparams.items() if k != "_instantiator"},
        "activation": repr(model.activation),
        "batch_size": cli.datamodule.batch_size,
        "weights": model.layer.weight.tolist() if cli.config.seed_everything else None,
        "optimizer": describe_optimizer(model) if cli.config.optimizer else None,
    }


def describe_optimizer(model):
    configured = model.configure_optimizers()
    optimizers, schedulers = [configured], []
    if isinstance(configured, dict):
        optimizers = [configured["optimizer"]]
        schedulers = [configured["lr_scheduler"]["scheduler"]]
    elif isinstance(configured, tuple):
        optimizers, schedulers = configured
    keys = ("step_size", "gamma", "monitor", "patience", "factor")
    return [[type(o).__name__, dict(o.defaults)] for o in optimizers] + [
        [type(s).__name__, {k: getattr(s, k, None) for k in keys}] for s in schedulers
    ]


if __name__ == "__main__":
    main(sys.argv.pop())
