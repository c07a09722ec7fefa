"""The training loop: manual optimization, odd data, and what a step may return.

What automatic optimization shares with Lightning is held in tests/parity.
"""

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

import scaffold_runtime as L
from tests.runtime.callbacks.conftest import loader


class Manual(L.LightningModule):
    """Two optimizers, each stepping its own layer."""

    automatic_optimization = False

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second = nn.Linear(2, 1), nn.Linear(2, 1)
        self.needed = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        for optimizer, layer in zip(
            self.optimizers(), (self.first, self.second), strict=True
        ):
            self.toggle_optimizer(optimizer)
            self.needed.append([p.requires_grad for p in self.parameters()])
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(layer(x), y)
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)
        self.log("loss", loss)

    def configure_optimizers(self):
        layers = (self.first, self.second)
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in layers]

    def train_dataloader(self):
        return loader()


def test_manual_steps_are_all_counted(make_trainer):
    model, trainer = Manual(), make_trainer(max_epochs=2)
    trainer.fit(model)
    assert trainer.global_step == 2 * 2 * 4
    for layer in (model.first, model.second):
        assert (
            nn.functional.mse_loss(layer(torch.ones(1, 2)), torch.tensor([[2.0]])) < 1
        )


def test_toggling_leaves_the_other_optimizers_parameters_out(make_trainer):
    model = Manual()
    make_trainer(max_steps=2).fit(model)
    assert model.needed[:2] == [[True, True, False, False], [False, False, True, True]]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_toggling_remembers_what_was_frozen(make_trainer):
    model = Manual()
    model.first.bias.requires_grad = False
    make_trainer(max_steps=2).fit(model)
    assert not model.first.bias.requires_grad
    assert model.needed[0] == [True, False, False, False]


def test_an_optimizer_of_two_fits_steps_for_the_second_module(make_trainer):
    class Shared(Manual):
        def configure_optimizers(self):
            return shared

        def on_train_end(self):
            self.managed = self.optimizers()

    first, second = Shared(), Shared()
    shared = Manual.configure_optimizers(first)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(first)
    trainer.max_epochs = 2
    trainer.fit(second)
    assert first.managed[0].optimizer is second.managed[0].optimizer
    assert first.managed[0] is not second.managed[0]


@pytest.mark.parametrize("way", ["automatic", "manual", "own step", "closure"])
def test_an_optimizer_that_takes_another_s_place_is_the_one_that_steps(
    way, net, make_trainer
):
    class Swapping(net):
        weights = ()

        def configure_optimizers(self):
            closure = {"max_iter": 1} if way == "closure" else {}
            kind = torch.optim.LBFGS if closure else torch.optim.SGD
            return kind(self.parameters(), lr=0.1, **closure)

        def on_train_epoch_start(self):
            self.weights = (*self.weights, self.layer.weight.detach().clone())
            if self.current_epoch == 1:
                self.trainer.optimizers = [torch.optim.SGD(self.parameters(), lr=0.0)]

    class Stepping(Swapping):
        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            assert self.optimizers() is optimizer
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            optimizer.step()

    model = Stepping() if way == "manual" else Swapping()
    model.automatic_optimization = way != "manual"
    if way == "own step":
        model.optimizer_step = lambda epoch, index, optimizer, closure: optimizer.step(
            closure
        )
    make_trainer(max_epochs=3).fit(model)
    first, second, third = model.weights
    assert not torch.equal(first, second)
    assert torch.equal(second, third)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"gradient_clip_val": 1.0}, "clip"), ({"accumulate_grad_batches": 2}, "accum")],
)
def test_flags_that_manual_optimization_would_ignore_are_refused(
    arguments, says, make_trainer
):
    with pytest.raises(L.MisconfigurationError, match=says):
        make_trainer(max_epochs=1, **arguments).fit(Manual())


def test_manual_optimization_of_shards_is_refused(make_trainer):
    trainer = make_trainer(max_epochs=1, strategy="fsdp")
    try:
        with pytest.raises(L.MisconfigurationError, match="'ddp'"):
            trainer.fit(Manual())
    finally:
        torch.distributed.destroy_process_group()


def test_manual_backward_in_automatic_optimization_is_refused(net, make_trainer):
    class Mixed(net):
        def training_step(self, batch, batch_idx):
            self.manual_backward(super().training_step(batch, batch_idx))

    with pytest.raises(L.MisconfigurationError, match="automatic_optimization = False"):
        make_trainer(max_epochs=1).fit(Mixed())


def test_several_optimizers_need_manual_optimization(make_trainer):
    model = Manual()
    model.automatic_optimization = True
    with pytest.raises(L.MisconfigurationError, match="manual optimization"):
        make_trainer(max_epochs=1).fit(model)


@pytest.mark.parametrize(
    ("output", "says"),
    [("text", "str"), ({"los": 1.0}, "'loss'"), ([1.0], "list"), (1.0, "float")],
)
def test_what_is_no_loss_is_refused_by_its_type(output, says, net, make_trainer):
    class Odd(net):
        def training_step(self, batch, batch_idx):
            return output

    with pytest.raises(L.MisconfigurationError, match=says):
        make_trainer(max_epochs=1).fit(Odd())


def test_a_step_without_a_loss_is_skipped_with_a_warning(net, make_trainer):
    class Skipping(net):
        def training_step(self, batch, batch_idx):
            return None if batch_idx else super().training_step(batch, batch_idx)

    model, trainer = Skipping(), make_trainer(max_epochs=1)
    with pytest.warns(UserWarning, match="returned None"):
        trainer.fit(model)
    assert trainer.num_training_batches == 4


def test_a_batch_that_is_none_is_skipped_with_a_warning(net, make_trainer):
    """A collate function may find no sample in a batch that can be used."""
    heard = []

    class Hearing(net):
        def on_train_batch_start(self, batch, batch_idx):
            heard.append(("start", batch_idx))

        def on_train_batch_end(self, outputs, batch, batch_idx):
            heard.append(("end", batch_idx, outputs is None))

    batch = torch.ones(4, 2), torch.ones(4, 1)
    trainer = make_trainer(max_epochs=1)
    with pytest.warns(UserWarning, match="None as a batch"):
        trainer.fit(Hearing(), [batch, None, batch])
    assert trainer.global_step == 2
    assert [word for word in heard if word[1] == 1] == [("end", 1, True)]


def test_the_step_may_leave_out_the_batchs_number(net, make_trainer):
    class Short(net):
        def training_step(self, batch):
            return nn.functional.mse_loss(self(batch[0]), batch[1])

        def validation_step(self, batch):
            self.log("val_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    trainer = make_trainer(max_epochs=1)
    trainer.fit(Short())
    assert trainer.global_step == 4
    assert "val_loss" in trainer.callback_metrics


class Stream(IterableDataset):
    """Nobody knows how long it is."""

    def __iter__(self):
        for index in range(5):
            yield torch.full((2,), index / 5), torch.tensor([index / 5])


@pytest.mark.parametrize("accumulated", [1, 2])
def test_data_without_a_length_ends_the_epoch_with_a_step(
    accumulated, net, make_trainer
):
    validated = []

    class Watching(net):
        def on_validation_epoch_end(self):
            validated.append(self.global_step)

    trainer = make_trainer(max_epochs=2, accumulate_grad_batches=accumulated)
    data = torch.utils.data.DataLoader(Stream(), batch_size=1)
    trainer.fit(Watching(), data, loader())
    assert trainer.num_training_batches == float("inf")
    assert trainer.global_step == {1: 10, 2: 6}[accumulated]
    assert validated == {1: [5, 10], 2: [3, 6]}[accumulated]


def test_any_iterable_is_a_loader(net, make_trainer):
    class Batches:
        def __len__(self):
            return 3

        def __iter__(self):
            return iter([(torch.ones(4, 2), torch.ones(4, 1))] * 3)

    trainer = make_trainer(max_epochs=2)
    trainer.fit(net(), Batches(), Batches())
    assert (trainer.num_training_batches, trainer.global_step) == (3, 6)
    assert trainer.num_val_batches == [3]


def test_a_data_set_is_a_loader_of_samples(net, make_trainer):
    trainer = make_trainer(max_epochs=1)
    trainer.fit(
        net(), torch.utils.data.TensorDataset(torch.ones(3, 2), torch.ones(3, 1))
    )
    assert trainer.global_step == 3


def test_a_plateau_scheduler_steps_on_data_without_a_length(net, make_trainer):
    class Falling(net):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"},
            }

    trainer = make_trainer(max_epochs=3)
    data = torch.utils.data.DataLoader(Stream(), batch_size=1)
    trainer.fit(Falling(values=[1.0, 2.0, 3.0]), data, loader())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)


def test_gradients_of_a_skipped_batch_are_not_applied_twice(net, make_trainer):
    """A frozen batch leaves the weights where they were."""

    class Frozen(net):
        def training_step(self, batch, batch_idx):
            return None

    model = Frozen()
    before = model.layer.weight.clone()
    with pytest.warns(UserWarning):
        make_trainer(max_epochs=1).fit(model)
    assert torch.equal(model.layer.weight, before)


def test_a_compiled_module_trains(net, make_trainer):
    model = net()
    compiled = torch.compile(model, backend="eager")
    trainer = make_trainer(max_epochs=1)
    trainer.fit(compiled)
    assert trainer.lightning_module is model
    assert "train_loss" in trainer.callback_metrics


class BreaksOff(L.LightningModule):
    """Notes its batches; the first run fails at the third."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.seen, self.fails = [], True

    def training_step(self, batch, batch_idx):
        if self.fails and batch_idx == 2:
            raise RuntimeError("the third batch")
        self.seen.append(batch_idx)
        return self.layer(batch[0]).square().mean()

    def train_dataloader(self):
        return loader()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_an_epoch_that_an_error_cut_short_begins_anew(make_trainer):
    model, trainer = BreaksOff(), make_trainer(max_epochs=1)
    with pytest.raises(RuntimeError, match="third"):
        trainer.fit(model)
    model.fails, model.seen = False, []
    trainer.fit(model)
    assert model.seen == [0, 1, 2, 3]


def test_a_callback_that_ends_the_fit_brings_one_last_validation(net, make_trainer):
    """`should_stop` is read after the batch's hooks, as in training_step."""

    class Stops(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop |= batch_idx == 1

    model, trainer = net(), make_trainer(Stops(), max_epochs=3)
    trainer.fit(model)
    assert (trainer.global_step, model.validations) == (2, 1)
    model, trainer = net(), make_trainer(Stops(), max_epochs=3, min_epochs=2)
    trainer.fit(model)
    assert model.validations == 2, "one in each epoch, and none before the second"


@pytest.mark.parametrize(("accumulated", "counts"), [(1, [0, 1, 2, 3]), (2, [0, 1])])
def test_a_step_by_hook_is_counted_once_when_the_hook_returns(
    accumulated, counts, net, make_trainer
):
    """As the documented warm-up counts; whatever the hook does with its closure."""
    seen = []

    class Warming(net):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            if batch_idx == 1:
                optimizer_closure()
            else:
                optimizer.step(closure=optimizer_closure)
                optimizer.optimizer.step()
            seen.append(self.trainer.global_step)

    trainer = make_trainer(max_epochs=1, accumulate_grad_batches=accumulated)
    trainer.fit(Warming())
    assert (seen, trainer.global_step) == (counts, len(counts))


def test_max_steps_ends_a_run_whose_hook_steps_past_the_wrapper(net, make_trainer):
    class Bare(net):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            optimizer.optimizer.step(optimizer_closure)

    trainer = make_trainer(max_steps=3, max_epochs=3)
    trainer.fit(Bare())
    assert trainer.global_step == 3


def test_outputs_of_a_manual_step_hold_no_graph_of_the_loss(make_trainer):
    seen = []

    class Returning(Manual):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            return {"loss": self.first(batch[0]).mean(), "more": 1}

        def on_train_batch_end(self, outputs, batch, batch_idx):
            seen.append((outputs["loss"].requires_grad, outputs["more"]))

    make_trainer(max_epochs=1).fit(Returning(), loader())
    assert set(seen) == {(False, 1)}


def test_without_an_optimizer_steps_are_counted_all_the_same(net, make_trainer):
    class Without(net):
        def configure_optimizers(self):
            return None

    for options, steps in (({}, 4), ({"accumulate_grad_batches": 2}, 2)):
        trainer = make_trainer(max_epochs=1, **options)
        trainer.fit(Without())
        assert trainer.global_step == steps
    trainer = make_trainer(max_steps=3)
    trainer.fit(Without())
    assert trainer.global_step == 3


def test_steps_are_counted_and_limited_where_nothing_is_optimized(net, make_trainer):
    class Fixed(net):
        def configure_optimizers(self):
            return None

    trainer = make_trainer(max_steps=6, accumulate_grad_batches=2)
    trainer.fit(Fixed())
    assert (trainer.global_step, trainer.current_epoch) == (6, 3)


def test_modules_in_evaluation_mode_are_told_when_training_starts(net, make_trainer):
    model = net()
    model.layer.eval()
    with pytest.warns(UserWarning, match=r"1 module\(s\) are in evaluation mode"):
        make_trainer(max_epochs=1).fit(model)
