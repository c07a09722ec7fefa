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
