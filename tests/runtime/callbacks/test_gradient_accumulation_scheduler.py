import pytest

import scaffold_runtime as L
from scaffold_runtime.callbacks import GradientAccumulationScheduler
from scaffold_runtime.errors import MisconfigurationError


class Steps(L.Callback):
    def __init__(self):
        self.after_epoch = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.after_epoch.append(trainer.global_step)


def test_accumulates_by_epoch(net, make_trainer):
    steps = Steps()
    scheduler = GradientAccumulationScheduler({1: 2, 3: 4})
    make_trainer(scheduler, steps, max_epochs=4).fit(net())
    assert steps.after_epoch == [4, 6, 8, 9]


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (1, 1), (2, 3), (4, 3), (5, 2), (99, 2)]
)
def test_the_number_of_an_epoch(epoch, factor):
    scheduler = GradientAccumulationScheduler({2: 3, 5: 2})
    assert scheduler.get_accumulate_grad_batches(epoch) == factor
    assert scheduler.going_to_accumulate_grad_batches()
    assert not GradientAccumulationScheduler({0: 1}).going_to_accumulate_grad_batches()


@pytest.mark.parametrize("schedule", [{-1: 2}, {"1": 2}, {1: 0}, {1: 2.0}, {}, [1, 2]])
def test_what_cannot_be_is_refused(schedule):
    with pytest.raises(MisconfigurationError):
        GradientAccumulationScheduler(schedule)


def test_no_schedule_is_a_type_error_as_in_lightning():
    with pytest.raises(TypeError, match="needs a schedule"):
        GradientAccumulationScheduler({})


def test_a_trainer_that_accumulates_by_itself_is_refused(net, make_trainer):
    trainer = make_trainer(
        GradientAccumulationScheduler({0: 2}), max_epochs=1, accumulate_grad_batches=2
    )
    with pytest.raises(ValueError, match="accumulate_grad_batches"):
        trainer.fit(net())


class SaveInMidEpoch(L.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 1:
            trainer.save_checkpoint(f"{trainer.default_root_dir}/mid.ckpt")


def test_an_epoch_resumed_in_the_middle_accumulates_as_it_began(
    net, make_trainer, tmp_path
):
    trainer = make_trainer(
        GradientAccumulationScheduler({0: 2}), SaveInMidEpoch(), max_epochs=1
    )
    trainer.fit(net())
    resumed = make_trainer(GradientAccumulationScheduler({0: 2}), max_epochs=1)
    resumed.fit(net(), ckpt_path=str(tmp_path / "mid.ckpt"))
    assert resumed.global_step == trainer.global_step == 2


class Fails(L.Callback):
    def on_train_batch_end(self, *_):
        raise RuntimeError("broken")


def test_the_trainer_is_left_as_it_was_by_an_error_too(net, make_trainer):
    trainer = make_trainer(GradientAccumulationScheduler({0: 2}), Fails(), max_epochs=1)
    for _ in range(2):  # the second would be refused if it were not
        with pytest.raises(RuntimeError, match="broken"):
            trainer.fit(net())
    assert trainer.accumulate_grad_batches == 1


def test_the_trainer_is_left_as_it_was_where_nothing_is_trained(net, make_trainer):
    trainer = make_trainer(
        GradientAccumulationScheduler({0: 2}), max_epochs=1, limit_train_batches=0
    )
    for _ in range(2):
        trainer.fit(net())
        assert trainer.accumulate_grad_batches == 1
