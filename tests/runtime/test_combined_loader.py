"""Several loaders as one: by itself, dealt out to ranks, and in a run."""

import pytest
from torch.utils.data import DataLoader, IterableDataset

import scaffold_runtime as L
from scaffold_runtime.combined_loader import CombinedEpochLoader
from scaffold_runtime.loader import Sharding


def loader(samples, batch_size=2, **arguments):
    return DataLoader(range(samples), batch_size, **arguments)


def values(batch):
    """A batch's collection with numbers in place of tensors."""
    if isinstance(batch, dict):
        return {key: values(part) for key, part in batch.items()}
    return batch if batch is None else batch.tolist()


def test_members_that_start_again_have_epochs_of_their_own():
    several = L.CombinedLoader([loader(4, shuffle=True), loader(12)], "max_size_cycle")
    combined = CombinedEpochLoader(several, Sharding(seed=1))
    orders = []
    for epoch in range(3):
        batches = [short.tolist() for short, _ in combined.iterate(epoch)]
        assert len(batches) == 6
        orders += [sum(batches[i : i + 2], []) for i in (0, 2, 4)]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3]] * 9
    assert len(set(map(tuple, orders))) > 4
    again = [short.tolist() for short, _ in combined.iterate(2)]
    assert again == batches


@pytest.mark.parametrize("skip", range(6))
@pytest.mark.parametrize("mode", ["max_size_cycle", "max_size"])
def test_it_starts_at_any_batch_with_and_without_a_state(mode, skip):
    def make():
        loaders = {"a": loader(5, shuffle=True), "b": loader(10, shuffle=True)}
        return CombinedEpochLoader(L.CombinedLoader(loaders, mode), Sharding(seed=1))

    whole = list(map(values, make().iterate(1)))
    assert list(map(values, make().iterate(1, skip))) == whole[skip:]
    saved, resumed = make(), make()
    batches = saved.iterate(1)
    for _ in range(skip):
        next(batches)
    resumed.load_state_dict(saved.state_dict(within_epoch=skip > 0))
    assert list(map(values, resumed.iterate(1, skip))) == whole[skip:]


def test_every_member_is_dealt_out_to_the_ranks():
    shares = []
    for rank in range(2):
        several = L.CombinedLoader((loader(8), loader(4)), "max_size_cycle")
        combined = CombinedEpochLoader(several, Sharding(rank=rank, world_size=2))
        shares.append(
            [[part.tolist() for part in batch] for batch in combined.iterate(0)]
        )
    assert shares == [
        [[[0, 2], [0, 2]], [[4, 6], [0, 2]]],
        [[[1, 3], [1, 3]], [[5, 7], [1, 3]]],
    ]


def test_other_loaders_are_refused_on_resume():
    state = CombinedEpochLoader(L.CombinedLoader([loader(4)]), Sharding()).state_dict()
    other = CombinedEpochLoader(L.CombinedLoader([loader(4)] * 2), Sharding())
    with pytest.raises(L.CheckpointError, match=r"1 training loader.* 2 now"):
        other.load_state_dict(state)


def test_a_length_that_nobody_knows_is_a_type_error():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    stream = DataLoader(Stream(), batch_size=2)
    assert len(L.CombinedLoader([stream, loader(4)], "min_size")) == 2
    with pytest.raises(TypeError):
        len(L.CombinedLoader([stream, loader(4)], "max_size"))


@pytest.mark.parametrize("empty", [[], {}])
@pytest.mark.parametrize("mode", ["min_size", "max_size", "max_size_cycle"])
def test_nothing_has_no_batches(empty, mode):
    nothing = L.CombinedLoader(empty, mode)
    assert (len(nothing), list(nothing)) == (0, [])


def test_training_on_no_loader_is_refused(net, make_trainer):
    with pytest.raises(L.DataError, match="no loader"):
        make_trainer(max_epochs=1).fit(net(), {})


def test_an_unknown_mode_is_refused_with_those_that_are_known():
    with pytest.raises(L.MisconfigurationError, match="max_size_cycle"):
        L.CombinedLoader([], "longest")


@pytest.mark.parametrize(
    ("limits", "mode", "length", "batches"),
    [
        (None, "sequential", 5, [0, 1, 2, 0, 1]),
        (1, "sequential", 2, [0, 0]),
        ([2, 0], "sequential", 2, [0, 1]),
        (2, "max_size", 2, [[0, 0], [1, 1], [2, None]]),
        ([1, 2], "min_size", 1, [[0, 0], [1, 1]]),
    ],
)
def test_limits_are_of_each_loader_or_of_all(limits, mode, length, batches):
    several = L.CombinedLoader([range(3), range(2)], mode)
    several.limits = limits
    assert len(several) == length
    assert [batch for batch, _, _ in several] == batches


def test_limits_for_another_number_of_loaders_are_refused():
    several = L.CombinedLoader([range(3), range(2)], "sequential")
    several.limits = [1]
    with pytest.raises(ValueError, match=r"limits=\[1\] are not for 2"):
        list(several)


def test_a_reset_lets_waiting_workers_go():
    waiting = loader(4, num_workers=1, persistent_workers=True)
    several = L.CombinedLoader([waiting, range(2)], "min_size")
    assert len(list(several)) == 2
    assert waiting._iterator is not None
    several.reset()
    assert waiting._iterator is None
    assert len(list(several)) == 2


def test_prediction_goes_through_one_loader_after_the_other(net, make_trainer):
    several = L.CombinedLoader([loader(2), loader(2)], "min_size")
    with pytest.raises(L.MisconfigurationError, match="mode='sequential'"):
        make_trainer().predict(net(), several)


def test_training_does_not_tell_its_loaders_apart(net, make_trainer):
    in_turn = L.CombinedLoader([loader(2), loader(2)], "sequential")
    with pytest.raises(L.MisconfigurationError, match="max_size_cycle"):
        make_trainer(max_epochs=1).fit(net(), in_turn)


def test_engines_take_it_too():
    engine = L.Engine(accelerator="cpu")
    several = engine.setup_loader(L.CombinedLoader({"a": loader(2), "b": loader(4)}))
    assert len(several) == 1
    assert [sorted(batch) for batch in several.iterate(epoch=0)] == [["a", "b"]]
