"""Evaluation: modes, gradients, several loaders, and results by loader."""

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.loggers import Logger
from tests.runtime.callbacks.conftest import loader


@pytest.mark.parametrize(("inference_mode", "expected"), [(True, True), (False, False)])
def test_evaluation_has_no_gradients_and_perhaps_inference_mode(
    inference_mode, expected, net, make_trainer
):
    seen = []

    class Watching(net):
        def validation_step(self, batch, batch_idx):
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))

    make_trainer(inference_mode=inference_mode).validate(Watching(), verbose=False)
    assert set(seen) == {(False, expected)}


def test_each_submodules_mode_comes_back(net, make_trainer):
    class Partly(net):
        def __init__(self):
            super().__init__()
            self.frozen = nn.Dropout().eval()

        def validation_step(self, batch, batch_idx):
            assert not self.training
            assert not self.layer.training

    model = Partly()
    make_trainer(max_epochs=1).fit(model)
    assert (model.training, model.layer.training, model.frozen.training) == (
        True,
        True,
        False,
    )


def test_training_goes_on_in_training_mode_after_a_validation(net, make_trainer):
    class Watching(net):
        def training_step(self, batch, batch_idx):
            assert self.training
            assert torch.is_grad_enabled()
            return super().training_step(batch, batch_idx)

    trainer = make_trainer(max_epochs=2, val_check_interval=1)
    trainer.fit(Watching())
    assert trainer.global_step == 8


def test_several_loaders_are_told_apart(net, make_trainer):
    class Several(net):
        def validation_step(self, batch, batch_idx, dataloader_idx):
            self.log("loss", float(dataloader_idx))
            self.log("both", 1.0, add_dataloader_idx=False, on_epoch=True)

    loaders = [loader(samples=8), loader(samples=16)]
    with pytest.raises(L.MisconfigurationError, match="both"):
        make_trainer().validate(Several(), loaders, verbose=False)


def test_results_are_sorted_by_loader(net, make_trainer):
    class Several(net):
        def test_step(self, batch, batch_idx, dataloader_idx):
            self.log("index", float(dataloader_idx))
            if dataloader_idx == 1:
                self.log("second", 2.0, add_dataloader_idx=False)

    loaders = [loader(samples=8), loader(samples=16)]
    results = make_trainer().test(Several(), loaders, verbose=False)
    assert results == [
        {"index/dataloader_idx_0": 0.0},
        {"index/dataloader_idx_1": 1.0, "second": 2.0},
    ]


def test_a_step_that_cannot_tell_loaders_apart_is_refused(net, make_trainer):
    with pytest.raises(L.MisconfigurationError, match="dataloader_idx=0"):
        make_trainer().validate(net(), [loader(), loader()], verbose=False)


def test_metrics_of_the_sanity_check_are_forgotten(net, make_trainer):
    seen = []

    class Watching(net):
        def on_train_start(self):
            seen.append(dict(self.trainer.callback_metrics))

    make_trainer(max_epochs=1, num_sanity_val_steps=2).fit(Watching())
    assert seen == [{}]


def test_the_sanity_check_leaves_the_random_state_alone(net, make_trainer):
    class Drawing(net):
        def validation_step(self, batch, batch_idx):
            torch.rand(3)

        def on_train_start(self):
            drawn.append(torch.rand(1).item())

    drawn = []
    for steps in (0, 2):
        torch.manual_seed(1)
        make_trainer(max_epochs=1, num_sanity_val_steps=steps).fit(Drawing())
    assert drawn[0] == drawn[1]


def test_an_evaluation_never_fetches_beyond_its_limit(net, make_trainer):
    fetched = []

    def batches():
        for index in range(10):
            fetched.append(index)
            yield torch.ones(2, 2), torch.ones(2, 1)

    class Endless:
        def __iter__(self):
            return batches()

    make_trainer(limit_val_batches=3).validate(net(), Endless(), verbose=False)
    assert fetched == [0, 1, 2]


def test_a_share_of_unknown_length_is_refused(net, make_trainer):
    class Endless:
        def __iter__(self):
            return iter(())

    with pytest.raises(L.MisconfigurationError, match="without a length"):
        make_trainer(limit_val_batches=0.5).validate(net(), Endless(), verbose=False)


def test_a_validation_within_fit_makes_no_inference_tensors(net, make_trainer):
    """What it keeps may be used in training: inference mode is for the other doors."""
    seen = []

    class Keeping(net):
        def validation_step(self, batch, batch_idx):
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            self.kept = self(batch[0])

        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * self.kept.mean()

    make_trainer(max_epochs=2, num_sanity_val_steps=2).fit(Keeping())
    assert set(seen) == {(False, False)}


@pytest.mark.parametrize("loaders", [1, 2])
@pytest.mark.parametrize(
    "hook", ["validation_step", "on_validation_batch_start", "on_validation_batch_end"]
)
def test_an_index_of_loaders_is_optional_in_steps_and_hooks(
    loaders, hook, net, make_trainer
):
    class Plain(net):
        pass

    arguments = "outputs, " * hook.endswith("end") + "batch, batch_idx"
    required = arguments + ", dataloader_idx" * (loaders == 1)
    for name, signature in {hook: required, "other": ""}.items():
        setattr(Plain, name, eval(f"lambda self, {signature}: None"))
    if loaders == 2 and hook != "validation_step":
        Plain.validation_step = lambda self, batch, batch_idx, dataloader_idx: None
    given = [loader() for _ in range(loaders)]
    with pytest.raises(
        L.MisconfigurationError, match=f"{hook} needs .*dataloader_idx=0"
    ):
        make_trainer().validate(Plain(), given, verbose=False)
    setattr(Plain, hook, eval(f"lambda self, {arguments}, dataloader_idx=0: None"))
    make_trainer().validate(Plain(), given, verbose=False)


def test_an_index_by_keyword_alone_is_left_to_its_default(net, make_trainer):
    class Keyword(net):
        def predict_step(self, batch, *, batch_idx=7):
            return batch_idx

    assert set(make_trainer().predict(Keyword())) == {7}


def test_the_last_batch_is_that_of_training(net, make_trainer):
    seen = []

    class Watching(net):
        def on_train_start(self):
            seen.append(("start", self.trainer.is_last_batch))

        def on_validation_batch_end(self, outputs, batch, batch_idx):
            seen.append((batch_idx, self.trainer.is_last_batch))

    trainer = make_trainer(max_epochs=1, num_sanity_val_steps=1, limit_val_batches=2)
    trainer.fit(Watching(), loader(), loader())
    assert seen == [(0, False), ("start", False), (0, True), (1, True)]


def test_a_metric_object_starts_anew_in_each_evaluation(net, make_trainer):
    torchmetrics = pytest.importorskip("torchmetrics")

    class Counting(net):
        def __init__(self):
            super().__init__()
            self.count = torchmetrics.SumMetric()

        def validation_step(self, batch, batch_idx):
            self.count(1.0)
            self.log("count", self.count)

        test_step = validation_step

    model, options = Counting(), {"num_sanity_val_steps": 1, "limit_val_batches": 3}
    trainer = make_trainer(max_epochs=2, val_check_interval=2, **options)
    trainer.fit(model)
    assert trainer.callback_metrics["count"] == 3.0
    assert model.count.update_count == 0
    assert trainer.validate(model, verbose=False) == [{"count": 3.0}]
    assert trainer.test(model, verbose=False) == [{"count": 4.0}]


@pytest.mark.parametrize("hook", ["training_step", "validation_step"])
def test_a_metric_object_forgets_an_epoch_that_an_error_cut_short(
    hook, net, make_trainer
):
    torchmetrics = pytest.importorskip("torchmetrics")

    class Breaking(net):
        breaks = True

        def __init__(self):
            super().__init__()
            self.count = torchmetrics.SumMetric()

    def step(self, batch, batch_idx):
        self.count(1.0)
        self.log("count", self.count, on_step=False, on_epoch=True)
        if self.breaks and batch_idx == 2:
            raise RuntimeError("broken")
        return self(batch[0]).mean()

    setattr(Breaking, hook, step)
    model, trainer = Breaking(), make_trainer(max_epochs=1)
    with pytest.raises(RuntimeError, match="broken"):
        trainer.fit(model)
    model.breaks = False
    trainer.fit(model)
    assert trainer.callback_metrics["count"] == 4.0


def test_each_evaluation_has_an_x_axis_of_its_own(net, make_trainer):
    class Stepwise(net):
        def test_step(self, batch, batch_idx):
            self.log("x", float(batch_idx), on_step=True, on_epoch=False)

    class Steps(Logger):
        name, version = "steps", 0

        def __init__(self):
            self.steps = []

        def log_metrics(self, metrics, step=None):
            self.steps.append(step)

        def log_hyperparams(self, params, *args, **kwargs):
            pass

    logger = Steps()
    trainer = make_trainer(logger=logger, limit_test_batches=2)
    for _ in range(2):
        trainer.test(Stepwise(), loader(), verbose=False)
    assert logger.steps == [0, 1, 0, 1]
