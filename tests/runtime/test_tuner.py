"""The tuner leaves no trace, says what cannot work, and draws what it has found."""

import copy
import random

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.callbacks import EarlyStopping, ModelCheckpoint
from scaffold_runtime.tuner import LRFinder, Tuner
from tests.runtime.callbacks.conftest import loader

QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Net(L.LightningModule):
    """Dropout, so that random numbers count; room for batches of `fits` samples."""

    def __init__(self, lr=0.1, batch_size=4, fits=10**9, optimizers=1):
        super().__init__()
        self.save_hyperparameters()
        self.seen = []
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(2, 4), nn.Dropout(), nn.Linear(4, 1))

    def configure_callbacks(self):
        return [ModelCheckpoint(save_last=True)]

    def training_step(self, batch, batch_idx):
        if len(batch[0]) > self.hparams.fits:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        self.seen.append(len(batch[0]))
        loss = nn.functional.mse_loss(self.network(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        lr, count = self.hparams.lr, self.hparams.optimizers
        return [torch.optim.Adam(self.parameters(), lr=lr)] if count else None

    def train_dataloader(self):
        return loader(shuffle=True, samples=64, batch_size=self.hparams.batch_size)


class Data(L.LightningDataModule):
    def __init__(self, batch_size=4):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        return loader(samples=32, batch_size=self.batch_size)


def make_trainer(folder, **arguments):
    arguments = {"max_epochs": 2, "default_root_dir": folder, **QUIET, **arguments}
    return L.Trainer(**arguments)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def look(trainer):
    """What a user sees of a trainer."""
    return {name: value for name, value in vars(trainer).items() if not callable(value)}


@pytest.mark.parametrize("method", ["lr_find", "scale_batch_size"])
def test_nothing_is_left_behind(method, tmp_path):
    stopping = EarlyStopping("loss", patience=1)
    trainer, model = (
        make_trainer(tmp_path, callbacks=stopping, profiler="simple"),
        Net(),
    )
    before, weights = look(trainer), copy.deepcopy(model.state_dict())
    drawn, rolled = torch.get_rng_state(), random.getstate()
    arguments = {"update_attr": False} if method == "lr_find" else {"max_trials": 2}
    getattr(Tuner(trainer), method)(model, **arguments)
    assert look(trainer) == before
    assert torch.equal(torch.get_rng_state(), drawn) and random.getstate() == rolled
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert files(tmp_path) == []
    assert stopping.wait_count == 0 and not trainer.profiler.recorded_durations


def test_a_fit_after_the_tuner_is_that_without_it(tmp_path):
    def fit(tuned):
        L.seed_everything(3)
        trainer, model = make_trainer(tmp_path / str(tuned)), Net()
        if tuned:
            Tuner(trainer).lr_find(model, num_training=7, update_attr=False)
            Tuner(trainer).scale_batch_size(model, max_trials=1, init_val=4)
        trainer.fit(model)
        return model

    for mine, other in zip(
        fit(True).parameters(), fit(False).parameters(), strict=True
    ):
        assert torch.equal(mine, other)


def test_the_suggestion_becomes_the_modules(tmp_path):
    model = Net()
    finder = Tuner(make_trainer(tmp_path, max_epochs=9)).lr_find(model)
    assert model.hparams.lr == finder.suggestion() in finder.results["lr"]
    assert (finder.lr_min, finder.lr_max, finder.num_training) == (1e-8, 1, 100)
    model.rate = 0.0
    finder = Tuner(make_trainer(tmp_path, max_epochs=9)).lr_find(
        model, attr_name="rate"
    )
    assert model.rate == finder.suggestion()


def test_a_data_module_is_asked_for_each_size(tmp_path):
    model, data = Net(fits=20), Data()
    tuner = Tuner(make_trainer(tmp_path, max_epochs=-1))
    size = tuner.scale_batch_size(model, data, mode="binsearch", margin=0)
    assert size == data.batch_size == model.hparams.batch_size == 20
    tried = list(dict.fromkeys(model.seen))
    assert tried == [2, 4, 8, 16, 20, 12]  # the rest of an epoch of 32


def test_where_nothing_fits_the_size_stays(tmp_path):
    model = Net(fits=0)
    with pytest.raises(L.MisconfigurationError, match="No batch size fits"):
        Tuner(make_trainer(tmp_path)).scale_batch_size(model, init_val=8)
    assert model.hparams.batch_size == 4


def test_another_error_is_the_users(tmp_path):
    class Broken(Net):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("broken")

    trainer, model = make_trainer(tmp_path), Broken()
    before = look(trainer)
    with pytest.raises(RuntimeError, match="broken"):
        Tuner(trainer).scale_batch_size(model)
    with pytest.raises(RuntimeError, match="broken"):
        Tuner(trainer).lr_find(model)
    assert look(trainer) == before and files(tmp_path) == []
    assert (model.hparams.lr, model.hparams.batch_size) == (0.1, 4)


def test_a_loss_that_diverges_ends_the_search(tmp_path):
    trainer = make_trainer(tmp_path, max_epochs=-1)
    finder = Tuner(trainer).lr_find(Net(), max_lr=1e30, update_attr=False)
    assert 2 < len(finder.results["loss"]) < 100
    whole = Tuner(trainer).lr_find(
        Net(), max_lr=1e30, update_attr=False, early_stop_threshold=None
    )
    assert len(whole.results["loss"]) == 100


def test_by_hand_the_rates_are_the_searchs_too(tmp_path):
    class ByHand(Net):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.rates = []

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            self.rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            loss = super().training_step(batch, batch_idx)
            self.manual_backward(loss)
            optimizer.step()
            return loss

    model = ByHand()
    finder = Tuner(make_trainer(tmp_path)).lr_find(model, num_training=20)
    assert model.rates == finder.results["lr"]


def test_too_few_losses_give_no_suggestion():
    finder = LRFinder("linear", 0.1, 1.0, 10)
    finder.results = {"lr": [0.1, 0.2, 0.3], "loss": [3.0, 2.0, 1.0]}
    with pytest.warns(UserWarning, match="No learning rate is suggested"):
        assert finder.suggestion() is None
    assert finder.suggestion(skip_begin=0, skip_end=0) == 0.1
    finder.results["loss"][1] = float("nan")
    assert finder.suggestion(skip_begin=0, skip_end=0) == 0.1


def test_the_plot_shows_losses_over_rates(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    finder = LRFinder("exponential", 0.1, 1.0, 10)
    finder.results = {
        "lr": [10.0**n for n in range(14)],
        "loss": [9.0, 8.0, 7.0, *[6.0] * 8, 2.0, 1.0, 9.0],
    }
    figure = finder.plot(suggest=True)
    (axes,) = figure.axes
    curve, mark = axes.lines
    assert list(curve.get_xdata()) == finder.results["lr"]
    assert list(mark.get_xdata()) == [finder.suggestion()]
    assert axes.get_xscale() == "log"
    finder.plot(ax=axes)
    assert len(axes.lines) == 3
    figure.savefig(tmp_path / "rates.png")


def test_without_matplotlib_the_plot_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(L.MisconfigurationError, match="pip install matplotlib"):
        LRFinder("linear", 0.1, 1.0, 10).plot()


def test_fast_dev_run_tunes_nothing(tmp_path):
    tuner = Tuner(make_trainer(tmp_path, fast_dev_run=True))
    with pytest.warns(UserWarning, match="no learning rate"):
        assert tuner.lr_find(Net()) is None
    with pytest.warns(UserWarning, match="no batch size"):
        assert tuner.scale_batch_size(Net()) is None


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (lambda t: t.lr_find(Net(), attr_name="pace"), "no hyperparameter pace"),
        (lambda t: t.lr_find(Net(), mode="random"), "'random' is unknown"),
        (lambda t: t.lr_find(Net(), method="test"), "'test' has no learning rate"),
        (lambda t: t.lr_find(Net(optimizers=0)), "0 optimizers"),
        (lambda t: t.scale_batch_size(Net(), mode="half"), "'half' is unknown"),
        (lambda t: t.scale_batch_size(Net(), margin=1), "margin=1"),
        (lambda t: t.scale_batch_size(Net(), loader()), "their batch size already"),
        (
            lambda t: t.scale_batch_size(Net(), batch_arg_name="size"),
            "hyperparameter size",
        ),
        (lambda t: t.scale_batch_size(Net(), method="train"), "'train' is unknown"),
        (lambda t: t.scale_batch_size(Net(), init_val=0), "init_val=0"),
        (lambda t: t.lr_find(Net(), min_lr=0), "min_lr=0"),
        (lambda t: t.lr_find(Net(), min_lr=-1, mode="linear"), "min_lr=-1"),
        (lambda t: t.lr_find(Net(), max_lr=-1), "max_lr=-1"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(search, says, tmp_path):
    with pytest.raises(L.MisconfigurationError, match=says):
        search(Tuner(make_trainer(tmp_path)))


def test_several_processes_are_refused_for_a_batch_size(tmp_path):
    trainer = make_trainer(tmp_path, devices=2, strategy="ddp")
    with pytest.raises(L.MisconfigurationError, match="devices=1"):
        Tuner(trainer).scale_batch_size(Net())
