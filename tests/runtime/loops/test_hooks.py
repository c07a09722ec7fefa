"""Which hooks are called: bound when a run starts, and none that nobody overrides."""

import pytest

import scaffold_runtime as L


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


def test_minus_one_skips_the_rest_of_the_epoch(net, make_trainer):
    class Short(net):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 2 else None

    trainer = make_trainer(max_epochs=3)
    trainer.fit(Short())
    assert trainer.global_step == 6


def test_a_module_may_have_no_callbacks_after_all(net, make_trainer):
    class Undecided(net):
        def configure_callbacks(self):
            return None

    trainer = make_trainer(max_epochs=1)
    trainer.fit(Undecided())
    assert trainer.callbacks == []
