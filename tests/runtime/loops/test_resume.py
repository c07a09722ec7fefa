"""What a checkpoint takes of the states that it is given."""

import threading
from collections import OrderedDict

import numpy as np
import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.checkpoint import read_checkpoint


class Keeping(L.Callback):
    """Saves what it is given, and keeps what it is given back."""

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state_dict):
        self.state = state_dict


def test_numpys_numbers_come_back_as_pythons(net, make_trainer, tmp_path):
    """`torch.load` takes none of them as plain data."""

    class WithRate(net):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=np.float64(0.125))

    state = {
        "best": np.float32(0.1),
        "counts": {np.int64(3): [np.int16(4), (True, np.bool_(False))]},
        "plain": OrderedDict(name="x", tensor=torch.ones(2)),
        "name": np.str_("y"),
    }
    trainer = make_trainer(Keeping(state), max_epochs=1)
    trainer.fit(WithRate())
    trainer.save_checkpoint(tmp_path / "kept.ckpt")
    callback = Keeping({})
    resumed = make_trainer(callback, max_epochs=2)
    resumed.fit(WithRate(), ckpt_path=tmp_path / "kept.ckpt")
    found = callback.state
    assert found["best"] == float(np.float32(0.1)) and type(found["best"]) is float
    assert found["counts"] == {3: [4, (True, False)]}
    assert type(found["plain"]) is OrderedDict and found["name"] == "y"
    assert resumed.optimizers[0].param_groups[0]["lr"] == 0.125
    assert type(state["best"]) is np.float32, "the callback's own state is as it was"


@pytest.mark.parametrize(
    "thing", [np.ones(2), np.dtype("f4"), object(), torch.nn.ReLU()]
)
def test_what_cannot_be_read_back_is_named_when_it_is_saved(
    thing, net, make_trainer, tmp_path
):
    trainer = make_trainer(Keeping({"deep": [0, thing]}), max_epochs=1)
    trainer.fit(net())
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    message = rf"callbacks\['Keeping'\]\['deep'\]\[1\] of the checkpoint is a {kind}"
    with pytest.warns(UserWarning, match=message):
        trainer.save_checkpoint(tmp_path / "kept.ckpt")
    weights = read_checkpoint(tmp_path / "kept.ckpt", for_training=False)["state_dict"]
    assert weights.keys() == net().state_dict().keys()


def test_what_cannot_be_saved_is_one_sentence(net, make_trainer, tmp_path):
    trainer = make_trainer(Keeping({"lock": threading.Lock()}), max_epochs=1)
    trainer.fit(net())
    with (
        pytest.warns(
            UserWarning, match=r"\['lock'\] of the checkpoint is a _thread.lock"
        ),
        pytest.raises(L.CheckpointError, match=r"could not be written: cannot pickle"),
    ):
        trainer.save_checkpoint(tmp_path / "kept.ckpt")
    assert list(tmp_path.glob("*kept*")) == []


OPTIMIZERS = [
    *("SGD", "RMSprop", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad"),
    *("Adadelta", "ASGD", "Rprop", "Adafactor", "LBFGS"),
]
ARGUMENTS = {
    "SGD": {"momentum": 0.9},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adam": {"amsgrad": True},
}


@pytest.fixture(params=OPTIMIZERS)
def kept(request, net, make_trainer, tmp_path):
    """A module with each of torch's optimizers, and a file of its run."""

    class Optimized(net):
        def configure_optimizers(self):
            arguments = ARGUMENTS.get(request.param, {})
            kind = getattr(torch.optim, request.param)
            return kind(self.parameters(), lr=0.01, **arguments)

    trainer, file = make_trainer(max_epochs=1), tmp_path / "kept.ckpt"
    trainer.fit(Optimized())
    trainer.save_checkpoint(file)
    return Optimized, file


def test_a_run_with_any_of_torchs_optimizers_goes_on(kept, make_trainer):
    resumed = make_trainer(max_epochs=2)
    resumed.fit(kept[0](), ckpt_path=kept[1])
    assert resumed.current_epoch == 2


@pytest.mark.parametrize("kept", OPTIMIZERS[:-2], indirect=True)
@pytest.mark.parametrize(
    "value", ["abc", 0.5, torch.zeros(3, 5), torch.tensor(0.0), [1], {"a": 1}], ids=repr
)
def test_a_wrong_entry_of_an_optimizer_is_one_sentence(value, kept, make_trainer):
    model, file = kept
    content = torch.load(file)
    entries = content["optimizer_states"][0]["state"][0]
    name = next(key for key, entry in entries.items() if entry.dim())
    entries[name] = value
    torch.save(content, file)
    with pytest.raises(
        L.CheckpointError, match=f"does not fit .*{name} of a parameter"
    ):
        make_trainer(max_epochs=2).fit(model(), ckpt_path=file)


class Starts(L.Callback):
    """Notes the epoch at each start; draws."""

    def __init__(self):
        self.epochs = []

    def on_train_start(self, trainer, pl_module):
        self.epochs.append(trainer.current_epoch)
        self.drawn = torch.rand(1)

    def on_train_end(self, trainer, pl_module):
        self.epochs.append(trainer.current_epoch)


@pytest.fixture
def saved_at_an_epochs_end(net, make_trainer, tmp_path):
    checkpoint = L.callbacks.ModelCheckpoint(tmp_path, save_top_k=-1)
    make_trainer(checkpoint, max_epochs=2).fit(net())
    return tmp_path / "epoch=0-step=4.ckpt"


def test_what_resumes_at_an_epochs_end_starts_in_the_next(
    saved_at_an_epochs_end, net, make_trainer
):
    starts = Starts()
    make_trainer(starts, max_epochs=3).fit(net(), ckpt_path=saved_at_an_epochs_end)
    assert starts.epochs == [1, 3]


def test_a_run_that_is_finished_ends_and_does_not_start_again(
    saved_at_an_epochs_end, net, make_trainer
):
    """The run that saved may have died before its end."""
    starts, trainer = Starts(), make_trainer(max_epochs=1)
    trainer.callbacks.append(starts)
    trainer.fit(net(), ckpt_path=saved_at_an_epochs_end)
    assert (starts.epochs, trainer.current_epoch) == ([1], 1)
    assert "val_loss" in trainer.callback_metrics


def test_what_is_drawn_when_a_resumed_run_starts_leaves_no_trace(
    saved_at_an_epochs_end, net, make_trainer
):
    class Drawing(net):
        def on_train_epoch_end(self):
            self.drawn = torch.rand(1)

    found = []
    for callbacks in ([], [Starts()]):
        model, trainer = Drawing(), make_trainer(*callbacks, max_epochs=2)
        trainer.fit(model, ckpt_path=saved_at_an_epochs_end)
        found.append(model.drawn)
    assert found[0] == found[1]


@pytest.mark.parametrize("door", ["validate", "test", "predict"])
def test_callbacks_get_their_state_outside_of_fit_too(
    door, net, make_trainer, tmp_path
):
    class Loading(Keeping):
        seen = None

        def on_load_checkpoint(self, trainer, pl_module, checkpoint):
            self.seen = checkpoint["global_step"], self.state

    trainer = make_trainer(Loading("mean 5"), max_epochs=1)
    trainer.callbacks[0].state = {"mean": 5}
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    callback = Loading({})
    callback.runs_last = True  # its place in the order says nothing of its state
    getattr(make_trainer(callback), door)(net(), ckpt_path=tmp_path / "x.ckpt")
    assert callback.state == {"mean": 5}
    assert callback.seen == (4, {}), "the whole checkpoint comes first"
    getattr(make_trainer(), door)(net(), ckpt_path=tmp_path / "x.ckpt")


def test_all_callbacks_see_the_checkpoint_before_any_gets_its_state(
    net, make_trainer, tmp_path
):
    order = []

    class Noting(L.Callback):
        def __init__(self, name):
            self.name = name

        @property
        def state_key(self):
            return self.name

        def state_dict(self):
            return {"x": 1}

        def on_load_checkpoint(self, trainer, pl_module, checkpoint):
            order.append(f"{self.name} sees")

        def load_state_dict(self, state_dict):
            order.append(f"{self.name} loads")

    trainer = make_trainer(Noting("a"), Noting("b"), max_epochs=1)
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    make_trainer(Noting("a"), Noting("b"), max_epochs=2).fit(
        net(), ckpt_path=tmp_path / "x.ckpt"
    )
    assert order == ["a sees", "b sees", "a loads", "b loads"]


def test_another_optimizer_than_the_saved_one_is_one_sentence(
    saved_at_an_epochs_end, net, make_trainer
):
    class Adam(net):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    with pytest.raises(L.CheckpointError, match="a group without betas, eps"):
        make_trainer(max_epochs=3).fit(Adam(), ckpt_path=saved_at_an_epochs_end)


def test_a_stop_that_a_callback_asked_for_is_the_same_when_resumed(
    net, make_trainer, tmp_path
):
    """The file is written after the callback has asked, before the last validation."""

    class Stops(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop |= trainer.global_step == 6

    save = L.callbacks.ModelCheckpoint(tmp_path, filename="x", every_n_train_steps=6)
    whole, model = make_trainer(Stops(), save, max_epochs=5), net()
    whole.fit(model)
    resumed, again = make_trainer(Stops(), max_epochs=5), net()
    resumed.fit(again, ckpt_path=tmp_path / "x.ckpt")
    assert (model.validations, again.validations) == (2, 1), "in epoch 0, at the stop"
    for trainer in (whole, resumed):
        assert (trainer.global_step, trainer.current_epoch) == (6, 2)
    assert resumed.callback_metrics == whole.callback_metrics


def test_a_test_does_not_take_back_which_checkpoints_there_are(
    net, make_trainer, tmp_path, recwarn
):
    save = L.callbacks.ModelCheckpoint(
        tmp_path, "{epoch}", monitor="val_loss", save_top_k=2
    )
    trainer, model = make_trainer(save, max_epochs=3), net(values=[1.0, 2.0, 1.5])
    trainer.fit(model)
    kept = set(save.best_k_models)
    trainer.test(model, ckpt_path="best")
    assert set(save.best_k_models) == kept == set(map(str, tmp_path.glob("*.ckpt")))
    elsewhere = L.callbacks.ModelCheckpoint(tmp_path / "other", monitor="val_loss")
    make_trainer(elsewhere).test(net(), ckpt_path=save.best_model_path)
    assert not [w for w in recwarn if "Checkpoints were in" in str(w.message)]
