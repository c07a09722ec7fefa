"""Which hooks are called: bound when a run starts, and none that nobody overrides."""

from unittest.mock import Mock

import lightning
import pytest
from lightning.pytorch.demos.boring_classes import BoringModel

import scaffold_runtime as L
from scaffold_runtime.demos import boring_classes
from tests.runtime.callbacks.conftest import QUIET


def test_a_hook_set_on_an_instance_replaces_the_classs(net, make_trainer):
    called = []
    model, callback = net(), L.Callback()
    model.on_train_start = lambda: called.append("module")
    callback.on_train_start = lambda trainer, module: called.append("callback")
    make_trainer(callback, max_epochs=1).fit(model)
    assert called == ["callback", "module"]


def test_none_takes_a_hook_away(net, make_trainer):
    model, trainer = net(), make_trainer(max_epochs=1)
    model.validation_step = None
    trainer.fit(model)
    assert "val_loss" not in trainer.callback_metrics


def test_an_epochs_end_is_heard_by_callbacks_module_and_then_monitors(
    net, make_trainer
):
    order = []

    class Early(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            order.append("callback")

    class Late(L.Callback):
        after_module = True

        def on_train_epoch_end(self, trainer, pl_module):
            order.append("monitor")

    class Watching(net):
        def on_train_epoch_end(self):
            order.append("module")

    make_trainer(Late(), Early(), max_epochs=1).fit(Watching())
    assert order == ["callback", "module", "monitor"]


@pytest.mark.parametrize("brought", ["one", "list"])
def test_a_modules_callbacks_replace_those_of_their_type(brought, net, make_trainer):
    class Marked(L.Callback):
        pass

    own = Marked()

    class Bringing(net):
        def configure_callbacks(self):
            return own if brought == "one" else [own]

    trainer = make_trainer(Marked(), max_epochs=1)
    trainer.fit(Bringing())
    assert [cb for cb in trainer.callbacks if isinstance(cb, Marked)] == [own]


def test_a_modules_callback_replaces_those_whose_class_it_refines(net, make_trainer):
    class Marked(L.Callback):
        pass

    class Refined(Marked):
        pass

    given = [Refined(), Marked()]
    for brought in (Refined(), Marked()):
        model = net()
        model.configure_callbacks = lambda own=brought: [own]
        trainer = make_trainer(*given, max_epochs=1)
        trainer.fit(model)
        kept = [cb for cb in trainer.callbacks if isinstance(cb, Marked)]
        refines = type(brought) is Refined
        assert kept == ([brought] if refines else [given[0], brought])


@pytest.mark.parametrize("plain", [L.Callback, lambda: Mock(spec=L.Callback)])
def test_a_plain_callback_or_a_mock_stays_whatever_a_module_brings(
    plain, net, make_trainer
):
    own, brought, model = plain(), L.callbacks.LambdaCallback(), net()
    own.state_dict = dict
    model.configure_callbacks = lambda: [brought]
    trainer = make_trainer(own, max_epochs=1)
    trainer.fit(model)
    assert own in trainer.callbacks
    assert brought in trainer.callbacks


def test_minus_one_skips_the_rest_of_the_epoch(net, make_trainer):
    class Short(net):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 2 else None

    trainer = make_trainer(max_epochs=3)
    trainer.fit(Short())
    assert trainer.global_step == 6


def test_only_the_modules_word_skips_an_epoch(net, make_trainer):
    class Saying(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            return -1

    trainer = make_trainer(Saying(), max_epochs=1)
    trainer.fit(net())
    assert trainer.global_step == 4


def test_a_callback_may_log_by_itself(net, make_trainer):
    class Logging(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.log("index", float(batch_idx), on_step=False, on_epoch=True)

        def on_train_epoch_end(self, trainer, pl_module):
            self.log_dict({"one": 1.0, "two": 2.0})

    trainer = make_trainer(Logging(), max_epochs=1)
    trainer.fit(net())
    logged = {name: trainer.callback_metrics[name] for name in ("index", "one", "two")}
    assert logged == {"index": 1.5, "one": 1.0, "two": 2.0}


def test_a_module_may_bring_no_callback(net, make_trainer):
    model, own = net(), L.Callback()
    model.configure_callbacks = lambda: None
    trainer = make_trainer(own, max_epochs=1)
    trainer.fit(model)
    assert trainer.callbacks == [own]


def test_stages_and_clipping_come_by_name(net, make_trainer):
    seen = []

    class Named(net):
        def setup(self, **arguments):
            seen.append(("setup", arguments))

        def teardown(self, **arguments):
            seen.append(("teardown", arguments))

        def configure_gradient_clipping(self, optimizer, **arguments):
            seen.append(("clip", arguments))

    class Callback(L.Callback):
        def setup(self, trainer, pl_module, *, stage):
            seen.append(("callback", {"stage": stage}))

    trainer = make_trainer(Callback(), max_steps=1, gradient_clip_val=0.5)
    trainer.fit(Named())
    clipping = {"gradient_clip_val": 0.5, "gradient_clip_algorithm": None}
    assert seen == [
        ("callback", {"stage": "fit"}),
        ("setup", {"stage": "fit"}),
        ("clip", clipping),
        ("teardown", {"stage": "fit"}),
    ]


def test_a_mock_hears_what_lightning_tells_one():
    heard = []
    for package, model in (
        (lightning, BoringModel()),
        (L, boring_classes.BoringModel()),
    ):
        mock = Mock(spec=package.Callback)
        mock.state_dict.return_value = {}
        trainer = package.Trainer(
            callbacks=mock,
            max_epochs=2,
            limit_train_batches=2,
            limit_val_batches=1,
            **{**QUIET, "enable_checkpointing": False, "logger": False},
        )
        trainer.fit(model)
        heard.append([name for name, *_ in mock.method_calls if name.startswith("on_")])
    assert heard[0] == heard[1]
    assert len(heard[0]) > 40
