"""What `configure_optimizers` may return."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

import scaffold_runtime as L
from scaffold_runtime.optimization import parse_optimizers


@pytest.fixture
def optimizer():
    return torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)


def test_every_documented_form_is_understood(optimizer):
    scheduler = StepLR(optimizer, 1)
    config = {"scheduler": scheduler, "interval": "step", "frequency": 3, "name": "n"}
    forms = {
        "optimizer": (optimizer, 0),
        "list": ([optimizer], 0),
        "two lists": (([optimizer], [scheduler]), 1),
        "lists with a config": (([optimizer], [config]), 1),
        "dict": ({"optimizer": optimizer}, 0),
        "dict and scheduler": ({"optimizer": optimizer, "lr_scheduler": scheduler}, 1),
        "dict and config": ({"optimizer": optimizer, "lr_scheduler": config}, 1),
        "tuple of dicts": (({"optimizer": optimizer, "lr_scheduler": config},), 1),
    }
    for form, (returned, schedulers) in forms.items():
        optimizers, configs = parse_optimizers(returned)
        assert optimizers == [optimizer], form
        assert len(configs) == schedulers, form
    _, (found,) = parse_optimizers({"optimizer": optimizer, "lr_scheduler": config})
    assert (found.interval, found.frequency, found.name) == ("step", 3, "n")
    assert found.optimizer is optimizer


def test_a_schedulers_defaults_are_each_epoch(optimizer):
    _, (config,) = parse_optimizers(([optimizer], [StepLR(optimizer, 1)]))
    assert (config.interval, config.frequency) == ("epoch", 1)
    assert (config.reduce_on_plateau, config.strict) == (False, True)


def test_the_monitor_may_stand_beside_the_scheduler(optimizer):
    _, (config,) = parse_optimizers(
        {
            "optimizer": optimizer,
            "lr_scheduler": ReduceLROnPlateau(optimizer),
            "monitor": "val_loss",
        }
    )
    assert (config.monitor, config.reduce_on_plateau) == ("val_loss", True)


def test_several_optimizers_are_for_manual_optimization(optimizer):
    several = [optimizer, torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)]
    assert parse_optimizers(several, automatic=False)[0] == several
    with pytest.raises(L.MisconfigurationError, match="manual"):
        parse_optimizers(several)


@pytest.mark.parametrize("returned", [None, [], ()])
def test_none_optimizes_nothing_and_says_so(returned):
    with pytest.warns(UserWarning, match="nothing is optimized"):
        assert parse_optimizers(returned) == ([], [])


def test_one_scheduler_needs_no_list(optimizer):
    scheduler = StepLR(optimizer, 1)
    for second in (scheduler, {"scheduler": scheduler}):
        _, (config,) = parse_optimizers(([optimizer], second))
        assert config.scheduler is scheduler


class Counting:
    """A scheduler of the user's own, that is none of torch."""

    def __init__(self, optimizer):
        self.optimizer, self.steps = optimizer, 0

    def step(self, number):
        self.steps = number

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


def test_a_scheduler_that_torch_does_not_know_needs_the_hook(
    optimizer, net, make_trainer
):
    with pytest.raises(
        L.MisconfigurationError, match=r"Counting is no.*lr_scheduler_step"
    ):
        parse_optimizers(([optimizer], [Counting(optimizer)]))

    class Stepping(net):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [Counting(optimizer)]

        def lr_scheduler_step(self, scheduler, metric):
            scheduler.step(self.current_epoch + 7)

    trainer = make_trainer(max_epochs=2)
    trainer.fit(Stepping())
    assert trainer.lr_scheduler_configs[0].scheduler.steps == 8


@pytest.mark.parametrize("scheduler", [3, None, "cosine", [1]])
@pytest.mark.parametrize("automatic", [True, False])
def test_what_is_no_scheduler_is_refused(optimizer, scheduler, automatic):
    with pytest.raises(TypeError, match="where a scheduler belongs"):
        parse_optimizers(([optimizer], [scheduler]), automatic)


@pytest.mark.parametrize("frequency", [0, -1, 1.5, None])
def test_a_frequency_is_a_whole_number(optimizer, frequency):
    config = {"scheduler": StepLR(optimizer, 1), "frequency": frequency}
    with pytest.raises(L.MisconfigurationError, match="StepLR has the frequency"):
        parse_optimizers(([optimizer], [config]))


def test_a_dict_without_an_optimizer_is_refused():
    with pytest.raises(L.MisconfigurationError, match="where an optimizer belongs"):
        parse_optimizers({"lr_scheduler": 1})


def test_a_step_takes_a_closure_or_nothing(net, make_trainer):
    class Manual(net):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            self.optimizers().step(batch_idx + 1)

    with pytest.raises(TypeError, match="takes a closure, and got a int"):
        make_trainer(max_epochs=1).fit(Manual())


def test_keys_that_mean_nothing_are_named(optimizer):
    with pytest.warns(UserWarning, match="lr_schedular"):
        parse_optimizers({"optimizer": optimizer, "lr_schedular": 1})
    config = {"scheduler": StepLR(optimizer, 1), "freqency": 2}
    with pytest.warns(UserWarning, match="freqency"):
        parse_optimizers({"optimizer": optimizer, "lr_scheduler": config})


def test_onecycle_per_epoch_is_seldom_meant(optimizer):
    with pytest.warns(UserWarning, match="OneCycleLR"):
        parse_optimizers(([optimizer], [OneCycleLR(optimizer, 1.0, total_steps=9)]))


def test_what_cannot_work_is_refused(optimizer):
    other = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    plateau = ReduceLROnPlateau(optimizer)
    cases = [
        (5, "form that is not known"),
        ([optimizer, 5], "form that is not known"),
        (([5], []), "int where an optimizer belongs"),
        ({"optimizer": optimizer, "lr_scheduler": {"interval": "step"}}, "'scheduler'"),
        (([optimizer], [{"scheduler": plateau}]), "needs a metric"),
        (
            ([optimizer], [{"scheduler": StepLR(optimizer, 1), "interval": "hour"}]),
            "'hour'",
        ),
        (([optimizer], [StepLR(other, 1)]), "did not return"),
    ]
    for returned, says in cases:
        with pytest.raises(L.MisconfigurationError, match=says):
            parse_optimizers(returned)
