import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    WeightAveraging,
)


class Trace(L.Callback):
    """The weights after each step and in each validation."""

    def __init__(self):
        self.steps, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(pl_module.layer.weight.detach().clone())

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.validated.append(pl_module.layer.weight.detach().clone())


def ema(weights, decay):
    average = weights[0]
    for weight in weights[1:]:
        average = decay * average + (1 - decay) * weight
    return average


def test_the_average_is_validated_and_left_in_the_module(net, make_trainer):
    trace, model = Trace(), net()
    trainer = make_trainer(
        EMAWeightAveraging(decay=0.5), trace, max_epochs=2, limit_val_batches=1
    )
    trainer.fit(model)
    torch.testing.assert_close(trace.validated[0], ema(trace.steps[:4], 0.5))
    torch.testing.assert_close(model.layer.weight.detach(), ema(trace.steps, 0.5))
    # and training went on with its own weights
    assert not torch.equal(trace.steps[4], trace.validated[0])


def test_the_mean_by_default(net, make_trainer):
    trace, model = Trace(), net()
    make_trainer(WeightAveraging(), trace, max_epochs=1).fit(model)
    mean = torch.stack(trace.steps).mean(0)
    torch.testing.assert_close(model.layer.weight.detach(), mean)


def test_training_itself_is_unchanged(net, make_trainer):
    traces = []
    for callbacks in ([], [EMAWeightAveraging(decay=0.9)]):
        torch.manual_seed(3)
        trace = Trace()
        model = net()
        make_trainer(*callbacks, trace, max_epochs=2).fit(
            model, train_dataloaders=model.val_dataloader()
        )
        traces.append(trace.steps)
    assert all(torch.equal(a, b) for a, b in zip(*traces, strict=True))


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({}, [0, 1, 2, 3], []),
        ({"update_every_n_steps": 2}, [0, 2], []),
        ({"update_starting_at_step": 2}, [2, 3], []),
        ({"update_every_n_steps": 0, "update_starting_at_epoch": 1}, [], [1, 2, 3]),
    ],
)
def test_when_it_updates(options, steps, epochs):
    callback = EMAWeightAveraging(**options)
    assert [i for i in range(4) if callback.should_update(step_idx=i)] == steps
    assert [i for i in range(4) if callback.should_update(epoch_idx=i)] == epochs


def test_accumulated_batches_are_one_update(net, make_trainer):
    seen = []

    class Spy(WeightAveraging):
        def should_update(self, step_idx=None, epoch_idx=None):
            seen.append((step_idx, epoch_idx))
            return super().should_update(step_idx, epoch_idx)

    make_trainer(Spy(), max_epochs=1, accumulate_grad_batches=2).fit(net())
    assert seen == [(0, None), (1, None), (None, 0)]


def test_a_checkpoint_holds_the_average_and_the_weights_in_training(
    net, make_trainer, tmp_path
):
    trace, checkpoint = Trace(), ModelCheckpoint(tmp_path)
    make_trainer(EMAWeightAveraging(decay=0.5), trace, checkpoint, max_epochs=1).fit(
        net()
    )
    content = torch.load(checkpoint.best_model_path, weights_only=True)
    average = content["state_dict"]["layer.weight"]
    torch.testing.assert_close(average, ema(trace.steps, 0.5))
    assert torch.equal(content["current_model_state"]["layer.weight"], trace.steps[-1])


def test_a_resumed_run_ends_bitwise_equal(net, make_trainer, tmp_path):
    def run(max_epochs, ckpt_path=None):
        L.seed_everything(7)
        model = net()
        checkpoint = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
        callback = EMAWeightAveraging(decay=0.9, update_every_n_steps=2)
        make_trainer(callback, checkpoint, max_epochs=max_epochs).fit(
            model,
            train_dataloaders=model.val_dataloader(),
            ckpt_path=ckpt_path,
        )
        return model.state_dict()

    whole = run(3)
    resumed = run(3, tmp_path / "epoch=0.ckpt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("use_buffers", [True, False])
def test_buffers(net, make_trainer, use_buffers):
    class Buffered(net):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2, momentum=None)
            self.means = []

        def forward(self, x):
            return self.layer(self.norm(x))

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.means.append(self.norm.running_mean.clone())

    model = Buffered()
    callback = EMAWeightAveraging(decay=0.5, use_buffers=use_buffers)
    trainer = make_trainer(callback, max_epochs=1, limit_val_batches=0)
    trainer.fit(model)
    expected = ema(model.means, 0.5) if use_buffers else model.means[-1]
    torch.testing.assert_close(model.norm.running_mean, expected)


def test_a_checkpoint_of_a_run_without_it_starts_the_average(
    net, make_trainer, tmp_path
):
    checkpoint = ModelCheckpoint(tmp_path)
    make_trainer(checkpoint, max_epochs=1).fit(net())
    trainer = make_trainer(EMAWeightAveraging(), max_epochs=2)
    with pytest.warns(UserWarning, match="without EMAWeightAveraging|not created with"):
        trainer.fit(net(), ckpt_path=checkpoint.best_model_path)
    assert trainer.global_step == 8


def test_an_interrupted_validation_gives_the_weights_back(net, make_trainer):
    class Fails(net):
        def validation_step(self, batch, batch_idx):
            raise RuntimeError("stop")

    trace, model = Trace(), Fails()
    with pytest.raises(RuntimeError, match="stop"):
        make_trainer(EMAWeightAveraging(decay=0.5), trace, max_epochs=1).fit(model)
    assert torch.equal(model.layer.weight, trace.steps[-1])


def test_the_average_is_used_by_a_test_of_the_checkpoint(net, make_trainer, tmp_path):
    checkpoint, model = ModelCheckpoint(tmp_path), net()
    make_trainer(EMAWeightAveraging(decay=0.5), checkpoint, max_epochs=1).fit(model)
    tested = net()
    trainer = make_trainer(EMAWeightAveraging(decay=0.5))
    trainer.test(tested, ckpt_path=checkpoint.best_model_path)
    torch.testing.assert_close(tested.layer.weight, model.layer.weight)


def test_tied_weights_are_averaged_under_all_their_names(net, make_trainer, tmp_path):
    class Tied(net):
        def __init__(self):
            super().__init__()
            self.alias = self.layer

    trace, checkpoint, model = Trace(), ModelCheckpoint(tmp_path), Tied()
    average = EMAWeightAveraging(decay=0.5)
    make_trainer(average, trace, checkpoint, max_epochs=1).fit(model)
    content = torch.load(checkpoint.best_model_path, weights_only=True)
    expected = ema(trace.steps, 0.5)
    for name in ("layer.weight", "alias.weight"):
        torch.testing.assert_close(content["state_dict"][name], expected)
    torch.testing.assert_close(model.layer.weight.detach(), expected)


def test_another_fit_starts_another_average(net, make_trainer):
    callback = EMAWeightAveraging(decay=0.5)
    for _ in range(2):
        trace, model = Trace(), net()
        make_trainer(callback, trace, max_epochs=1).fit(model)
        torch.testing.assert_close(model.layer.weight.detach(), ema(trace.steps, 0.5))


def test_an_average_function_of_torch_takes_buffers_of_any_kind(make_trainer, net):
    """Batch norm counts its batches in integers, which torch averages apart."""

    class Normed(net):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2)

        def forward(self, x):
            return self.layer(self.norm(x))

    module, decay = Normed(), 0.5
    both = []
    for average in (
        {"avg_fn": torch.optim.swa_utils.get_ema_avg_fn(decay)},
        {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(decay)},
    ):
        torch.manual_seed(0)
        module = Normed()
        make_trainer(WeightAveraging(**average), max_epochs=2).fit(module)
        both.append(module.state_dict())
    for name, value in both[0].items():
        torch.testing.assert_close(both[1][name], value)


def test_a_decay_out_of_range_is_refused():
    with pytest.raises(L.MisconfigurationError, match=r"decay=.* must be from"):
        EMAWeightAveraging(decay=2.0)
    with pytest.raises(L.MisconfigurationError, match=r"decay='0.9' must be from"):
        EMAWeightAveraging(decay="0.9")
    with pytest.raises(L.MisconfigurationError, match="update_every_n_steps='2'"):
        EMAWeightAveraging(update_every_n_steps="2")
