"""What `self.log` records: forks, weights, reductions, and what it refuses."""

from dataclasses import dataclass

import numpy
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L
from scaffold_runtime.loggers import Logger


class Lines(Logger):
    """Keeps what it is sent."""

    name, version = "lines", 0

    def __init__(self):
        self.lines = []

    def log_metrics(self, metrics, step=None):
        self.lines.append((step, dict(metrics)))

    def log_hyperparams(self, params, *args, **kwargs):
        pass


class Logging(L.LightningModule):
    """Logs each batch's mean under `value`, with the arguments given."""

    def __init__(self, **arguments):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.arguments = arguments

    def training_step(self, batch, batch_idx):
        self.log("value", batch[0].mean(), **self.arguments)
        return self.layer(batch[0]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def numbers(*values, batch_size=2):
    data = TensorDataset(torch.tensor(values).reshape(-1, 1))
    return DataLoader(data, batch_size=batch_size)


@pytest.fixture
def fit(make_trainer):
    """Fits a module on 1, 2, 3, 4, 9 in batches of two; gives the trainer and the lines."""

    def fitted(module, **options):
        lines = Lines()
        options = {"max_epochs": 1, "log_every_n_steps": 1, **options}
        trainer = make_trainer(logger=lines, **options)
        trainer.fit(module, numbers(1.0, 2.0, 3.0, 4.0, 9.0))
        return trainer, lines.lines

    return fitted


def test_a_training_step_logs_steps(fit):
    trainer, lines = fit(Logging())
    assert [(step, line["value"]) for step, line in lines] == [
        (0, 1.5),
        (1, 3.5),
        (2, 9.0),
    ]
    assert trainer.callback_metrics == {"value": 9.0}


def test_steps_and_epochs_fork_the_name(fit):
    trainer, lines = fit(Logging(on_step=True, on_epoch=True))
    assert [line["value_step"] for _, line in lines if "value_step" in line] == [
        1.5,
        3.5,
        9.0,
    ]
    assert lines[-1] == (2, {"value_epoch": pytest.approx(3.8), "epoch": 0})
    assert set(trainer.callback_metrics) == {"value", "value_step", "value_epoch"}
    assert set(trainer.logged_metrics) == {"value_step", "value_epoch"}


@pytest.mark.parametrize(
    ("reduce_fx", "expected"),
    [
        ("mean", (1.5 * 2 + 3.5 * 2 + 9.0) / 5),
        ("sum", 14.0),
        ("min", 1.5),
        ("max", 9.0),
        (torch.mean, (1.5 * 2 + 3.5 * 2 + 9.0) / 5),
        (max, 9.0),
    ],
)
def test_an_epoch_is_reduced_and_a_mean_weighted_by_batch_size(
    reduce_fx, expected, fit
):
    module = Logging(on_step=False, on_epoch=True, reduce_fx=reduce_fx)
    trainer, _ = fit(module)
    assert trainer.callback_metrics["value"].item() == pytest.approx(expected)


def test_the_weight_can_be_given(fit):
    trainer, _ = fit(Logging(on_step=False, on_epoch=True, batch_size=1))
    mean = (1.5 + 3.5 + 9.0) / 3
    assert trainer.callback_metrics["value"].item() == pytest.approx(mean)


def test_epochs_do_not_leak_into_each_other(fit):
    class Epochs(Logging):
        def training_step(self, batch, batch_idx):
            self.log("epoch_number", float(self.current_epoch), on_epoch=True)
            return super().training_step(batch, batch_idx)

    _, lines = fit(Epochs(), max_epochs=3)
    logged = [v for _, line in lines for k, v in line.items() if k.endswith("r_epoch")]
    assert logged == [0.0, 1.0, 2.0]


def test_only_the_progress_bar_or_only_the_loggers(fit):
    trainer, lines = fit(Logging(prog_bar=True, logger=False))
    assert trainer.progress_bar_metrics == {"value": 9.0}
    assert lines == []
    trainer, lines = fit(Logging())
    assert trainer.progress_bar_metrics == {}
    assert len(lines) == 3


def test_a_logged_step_is_the_x_axis(fit):
    class Own(Logging):
        def training_step(self, batch, batch_idx):
            self.log("step", 100.0 + batch_idx)
            return super().training_step(batch, batch_idx)

    _, lines = fit(Own())
    assert [step for step, _ in lines] == [100, 101, 102]
    assert "epoch" not in lines[0][1]


def test_every_nth_step_is_written_from_the_nth(fit):
    _, lines = fit(Logging(), log_every_n_steps=2, max_epochs=2)
    assert [step for step, _ in lines] == [1, 3, 5]


def test_log_dict_logs_every_item(fit):
    class Several(Logging):
        def training_step(self, batch, batch_idx):
            self.log_dict({"a": 1.0, "b": torch.tensor([2.0])}, on_epoch=True)
            return super().training_step(batch, batch_idx)

    trainer, _ = fit(Several())
    assert {"a_step", "a_epoch", "b_step", "b_epoch"} < set(trainer.callback_metrics)


def test_small_types_are_reduced_in_float32(fit):
    class Half(Logging):
        def training_step(self, batch, batch_idx):
            self.log("half", torch.tensor(0.1, dtype=torch.bfloat16), on_epoch=True)
            return super().training_step(batch, batch_idx)

    trainer, _ = fit(Half())
    assert trainer.callback_metrics["half_epoch"].dtype is torch.float32


def test_a_logged_value_holds_no_graph(fit):
    class Graph(Logging):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("loss", loss)
            return loss

    trainer, _ = fit(Graph())
    assert not trainer.callback_metrics["loss"].requires_grad


def test_a_value_written_in_place_afterwards_stays_as_logged(fit):
    class InPlace(Logging):
        def training_step(self, batch, batch_idx):
            value = torch.tensor(1.0)
            self.log("kept", value)
            value += 1
            return super().training_step(batch, batch_idx)

    trainer, _ = fit(InPlace())
    assert trainer.callback_metrics["kept"] == 1.0


@pytest.mark.parametrize(
    ("name", "value", "arguments", "says"),
    [
        ("x", torch.ones(2), {}, r"\(2,\)"),
        ("x", "text", {}, "str"),
        (5, 1.0, {}, "must be a string"),
        ("x/dataloader_idx_0", 1.0, {}, "dataloader_idx"),
        ("x", 1.0, {"reduce_fx": "median"}, "median"),
        ("x", 1.0, {"on_step": False, "on_epoch": False}, "records nothing"),
        ("x", 1.0, {"sync_dist_group": object()}, "sync_dist_group"),
    ],
)
def test_what_cannot_be_logged_is_refused(name, value, arguments, says, fit):
    class Odd(Logging):
        def training_step(self, batch, batch_idx):
            self.log(name, value, **arguments)

    with pytest.raises(L.MisconfigurationError, match=says):
        fit(Odd())


def test_a_hook_of_no_step_logs_no_step(fit):
    class Early(Logging):
        def on_train_epoch_start(self):
            self.log("x", 1.0, on_step=True)

    with pytest.raises(L.MisconfigurationError, match="on_train_epoch_start"):
        fit(Early())


@pytest.mark.parametrize("hook", ["on_fit_start", "on_train_end", "setup"])
def test_some_hooks_cannot_log(hook, fit):
    class Early(Logging):
        pass

    setattr(Early, hook, lambda self, **arguments: self.log("x", 1.0))
    with pytest.raises(L.MisconfigurationError, match=r"self\.log cannot be called"):
        fit(Early())


@pytest.mark.parametrize(
    "said",
    [
        {"on_step": True},
        {"on_epoch": False},
        {"reduce_fx": torch.mean},
        {"reduce_fx": "avg"},
        {"sync_dist": True},
        {"logger": True},
    ],
    ids=lambda said: "-".join(said),
)
def test_what_is_said_in_another_way_is_the_same(said, fit):
    class Wordy(Logging):
        def training_step(self, batch, batch_idx):
            self.log("x", float(batch_idx), **(said if batch_idx % 2 else {}))
            return super().training_step(batch, batch_idx)

    _, lines = fit(Wordy())
    assert [line["x"] for _, line in lines] == [0.0, 1.0, 2.0]


def test_one_name_is_logged_with_one_set_of_arguments(fit):
    class Changing(Logging):
        def training_step(self, batch, batch_idx):
            self.log("x", 1.0, prog_bar=bool(batch_idx))
            return super().training_step(batch, batch_idx)

    with pytest.raises(L.MisconfigurationError, match="other arguments"):
        fit(Changing())


@pytest.mark.parametrize("number", [1, True, numpy.float32(1), numpy.int64(1)])
def test_a_number_of_any_kind_is_logged(number, fit):
    class Numbers(Logging):
        def training_step(self, batch, batch_idx):
            self.log("number", number)
            return super().training_step(batch, batch_idx)

    trainer, _ = fit(Numbers())
    assert trainer.callback_metrics["number"] == 1.0


def test_a_value_for_loggers_that_are_not_there_is_told(make_trainer):
    trainer = make_trainer(max_epochs=1)
    with pytest.warns(UserWarning, match="no logger"):
        trainer.fit(Logging(logger=True), numbers(1.0))


def test_logging_outside_of_a_run_warns():
    with pytest.warns(UserWarning, match="outside of a run"):
        Logging().log("x", 1.0)


@dataclass
class Pair:
    """A batch of a type of its own."""

    first: object
    second: object


class Pairs:
    """A batch that is neither list nor mapping, as those of graphs."""

    def __iter__(self):
        return iter([("x", torch.ones(6)), ("y", torch.ones(2))])


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (torch.ones(3, 2), 3),
        ({"a": "text", "b": [torch.ones(4)]}, 4),
        ((None, torch.ones(5)), 5),
        (torch.tensor(1.0), 1),
        (Pair("text", torch.ones(6)), 6),
        ({(torch.ones(7),)}, 7),
        (Pairs(), 6),
    ],
)
def test_the_batch_size_is_the_first_tensors_first_dimension(batch, size, make_trainer):
    class Weighing(Logging):
        def validation_step(self, batch, batch_idx):
            self.log("weighted", float(batch_idx))

    class Batches:
        def __iter__(self):
            return iter([batch, torch.ones(1)])

    (metrics,) = make_trainer().validate(Weighing(), Batches(), verbose=False)
    assert metrics["weighted"] == pytest.approx(1 / (size + 1))


@pytest.mark.parametrize("name", ["MEAN", "Sum"])
def test_a_reduction_is_named_in_any_case(name, fit):
    values = []
    for reduce_fx in (name, name.lower()):
        trainer, _ = fit(Logging(on_step=False, on_epoch=True, reduce_fx=reduce_fx))
        values.append(trainer.callback_metrics["value"])
    assert values[0] == values[1]


def test_a_batch_of_no_samples_weighs_nothing(fit):
    class Sizes(Logging):
        def training_step(self, batch, batch_idx):
            self.log("value", float(batch_idx), on_epoch=True, batch_size=batch_idx)
            return self.layer(batch[0]).mean()

    trainer, _ = fit(Sizes())
    assert trainer.callback_metrics["value_epoch"].item() == pytest.approx(5 / 3)


def test_a_scheduler_s_step_is_no_place_to_log(fit):
    class Stepping(Logging):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        def lr_scheduler_step(self, scheduler, metric):
            self.log("rate", 1.0)

    with pytest.raises(L.MisconfigurationError, match="lr_scheduler_step"):
        fit(Stepping())


def test_a_metric_and_a_number_under_one_name_are_told_apart(fit):
    torchmetrics = pytest.importorskip("torchmetrics")

    class Changing(Logging):
        def __init__(self):
            super().__init__()
            self.mean = torchmetrics.MeanMetric()

        def training_step(self, batch, batch_idx):
            self.mean(1.0)
            self.log("value", self.mean if batch_idx == 0 else 1.0)
            return self.layer(batch[0]).mean()

    with pytest.raises(L.MisconfigurationError, match="'value' as a metric before"):
        fit(Changing())


@pytest.mark.parametrize("batch", ["text", ["a", "b"], 5, {}, iter([torch.ones(1)])])
def test_a_mean_over_batches_of_unknown_size_is_refused(batch, make_trainer):
    class Weighing(Logging):
        def validation_step(self, batch, batch_idx):
            self.log("weighted", 1.0, batch_size=size)

    class Batches:
        def __iter__(self):
            return iter([batch])

    size = None
    with pytest.raises(L.MisconfigurationError, match="batch_size=n"):
        make_trainer().validate(Weighing(), Batches(), verbose=False)
    size = 2
    (metrics,) = make_trainer().validate(Weighing(), Batches(), verbose=False)
    assert metrics == {"weighted": 1.0}


def test_an_epoch_s_end_belongs_to_no_batch(make_trainer):
    class Ending(Logging):
        def validation_step(self, batch, batch_idx):
            pass

        def on_validation_epoch_end(self):
            self.log("end", 2.0)

    assert make_trainer().validate(Ending(), ["a"], verbose=False) == [{"end": 2.0}]


def test_what_perhaps_rank_zero_alone_logs_is_not_reduced_over_ranks(fit):
    class Ranked(Logging):
        def on_train_start(self):
            self.trainer.train_recorder.reduce = lambda value, op: value + 100

        def training_step(self, batch, batch_idx):
            self.log("all", 1.0, sync_dist=True)
            self.log("own", 1.0, sync_dist=True, rank_zero_only=True)
            return self.layer(batch[0]).mean()

    trainer, _ = fit(Ranked())
    assert trainer.callback_metrics == {"all": 101.0, "own": 1.0}
