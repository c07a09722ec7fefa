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


@pytest.mark.parametrize("schedule", [{-1: 2}, {"1": 2}, {1: 0}, {1: 2.0}])
def test_what_cannot_be_is_refused(schedule):
    with pytest.raises(MisconfigurationError):
        GradientAccumulationScheduler(schedule)


def test_a_trainer_that_accumulates_by_itself_is_refused(net, make_trainer):
    trainer = make_trainer(
        GradientAccumulationScheduler({0: 2}), max_epochs=1, accumulate_grad_batches=2
    )
    with pytest.raises(ValueError, match="accumulate_grad_batches"):
        trainer.fit(net())
