"""Loaders built anew: dealt out, seeded, started in mid-epoch, and the user's left alone."""

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    WeightedRandomSampler,
    get_worker_info,
)
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import scaffold_runtime as L
from scaffold_runtime.loader import EpochLoader, Sharding


class Numbers(Dataset):
    """Sample i is i, and what augmentation would draw for it."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return index, torch.rand(1).item()


def identity(samples):
    return samples


def indices(source, epoch=0, skip=0, **sharding):
    """The indices of each batch of an epoch, for one rank."""
    batches = EpochLoader(source, Sharding(**sharding)).iterate(epoch, skip)
    return [[index for index, _ in batch] for batch in batches]


def loader(length=10, batch_size=2, **arguments):
    return DataLoader(Numbers(length), batch_size, collate_fn=identity, **arguments)


@pytest.mark.parametrize("length", [8, 9, 10, 11, 16, 23])
@pytest.mark.parametrize("world_size", [2, 4])
def test_a_step_has_the_same_samples_at_every_world_size(length, world_size):
    alone = indices(loader(length, 8, shuffle=True), seed=3)
    source = loader(length, 8 // world_size, shuffle=True)
    ranks = [
        indices(source, seed=3, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    for step, samples in enumerate(alone):
        dealt = [index for batches in ranks for index in batches[step]]
        padding = len(dealt) - len(samples)
        assert set(dealt) >= set(samples)
        assert padding == 0 or (step == len(alone) - 1 and padding < world_size)


def evaluated(source, world_size, **arguments):
    """What each rank evaluates."""
    return [
        indices(source, rank=rank, world_size=world_size, training=False, **arguments)
        for rank in range(world_size)
    ]


def flat(ranks):
    return [index for batches in ranks for batch in batches for index in batch]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9, 23])
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.filterwarnings("ignore:.*some count twice")
def test_evaluation_deals_every_sample_once_and_batches_evenly(
    length, world_size, shuffle
):
    ranks = evaluated(loader(length, shuffle=shuffle), world_size)
    assert len({len(batches) for batches in ranks}) == 1
    assert set(flat(ranks)) == set(range(length))
    assert len(flat(ranks)) == max(length, world_size)


@pytest.mark.parametrize("length", [8, 9, 11, 23])
@pytest.mark.parametrize("world_size", [2, 3])
def test_evaluation_drops_its_last_batch_on_every_rank(length, world_size):
    ranks = evaluated(loader(length, drop_last=True), world_size)
    assert {len(batches) for batches in ranks} == {length // world_size // 2}
    assert len(set(flat(ranks))) == len(flat(ranks))


def test_batches_of_one_are_filled_up_and_that_is_said():
    """A rank without a last batch would leave the others waiting in a collective call."""
    with pytest.warns(UserWarning, match="7 samples in batches of 1.*count twice"):
        ranks = evaluated(loader(7, batch_size=1), 2)
    assert [len(batches) for batches in ranks] == [4, 4]
    assert sorted(flat(evaluated(loader(7, 1), 2, whole=True))) == list(range(7))


def test_dealing_out_can_be_switched_off():
    source = loader(shuffle=False)
    assert indices(source, rank=1, world_size=2, enabled=False) == indices(source)


def test_epochs_and_seeds_have_orders_of_their_own():
    source = loader(shuffle=True)
    orders = [indices(source, epoch=e, seed=s) for e, s in ((0, 1), (1, 1), (0, 7))]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert indices(source, epoch=1, seed=1) == orders[1]


def test_a_loaders_own_generator_is_its_seed():
    def order(seed):
        generator = torch.Generator().manual_seed(seed)
        return indices(loader(shuffle=True, generator=generator), seed=0)

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_can_start_at_any_batch(shuffle, workers):
    source = loader(shuffle=shuffle, num_workers=workers)
    whole = indices(source, epoch=2, seed=1)
    assert indices(source, epoch=2, seed=1, skip=3) == whole[3:]


def test_making_an_iterator_draws_nothing_from_the_global_generator():
    source = EpochLoader(loader(shuffle=True), Sharding())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    source.iterate(0)
    assert torch.equal(torch.rand(1), expected)


def test_augmentation_is_the_same_for_any_number_of_workers():
    def drawn(workers, skip=0):
        source = EpochLoader(
            loader(shuffle=True, num_workers=workers), Sharding(seed=4)
        )
        return list(source.iterate(1, skip))

    one, two = drawn(1), drawn(2)
    assert one == two
    assert drawn(2, skip=2) == one[2:]


@pytest.mark.parametrize("drop_last", [True, False])
def test_the_last_batch_stays_or_goes(drop_last):
    source = loader(9, drop_last=drop_last)
    sizes = [len(batch) for batch in indices(source)]
    assert sizes == [2, 2, 2, 2] + ([] if drop_last else [1])
    assert len(EpochLoader(source, Sharding())) == len(sizes)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_whole_loader_keeps_its_last_batch(world_size):
    source = loader(11, 2, drop_last=True)
    options = {"world_size": world_size, "training": False, "whole": True}
    seen = [indices(source, rank=rank, **options) for rank in range(world_size)]
    assert sorted(i for batches in seen for batch in batches for i in batch) == [
        *range(11)
    ]


def test_a_sampler_of_the_users_is_left_alone():
    class Backwards(SequentialSampler):
        def __iter__(self):
            return iter(range(9, -1, -1))

    source = loader(sampler=Backwards(range(10)))
    assert indices(source) == [[9, 8], [7, 6], [5, 4], [3, 2], [1, 0]]


def test_a_batch_sampler_of_the_users_is_left_alone():
    class Pairs(BatchSampler):
        def __iter__(self):
            return iter([[0, 9], [1, 8, 5]])

        def __len__(self):
            return 2

    sampler = Pairs(SequentialSampler(range(10)), 2, False)
    source = DataLoader(Numbers(10), batch_sampler=sampler, collate_fn=identity)
    assert indices(source) == [[0, 9], [1, 8, 5]]


@pytest.mark.parametrize(
    ("sampler", "size", "drop_last", "sizes"),
    [
        (SequentialSampler(range(10)), 3, False, [3, 3, 3, 1]),
        (SequentialSampler(range(10)), 3, True, [3, 3, 3]),
        (RandomSampler(range(10)), 4, False, [4, 4, 2]),
    ],
)
def test_torchs_own_batch_sampler_has_the_say_on_batches(
    sampler, size, drop_last, sizes
):
    batches = BatchSampler(sampler, size, drop_last)
    source = DataLoader(Numbers(10), batch_sampler=batches, collate_fn=identity)
    first, second = indices(source, epoch=0), indices(source, epoch=1)
    assert list(map(len, first)) == sizes
    assert len(EpochLoader(source, Sharding())) == len(sizes)
    assert (first != second) == isinstance(sampler, RandomSampler)
    ranks = [indices(source, rank=rank, world_size=2) for rank in range(2)]
    dealt = {index for batches in ranks for batch in batches for index in batch}
    assert len(dealt) == (6 if drop_last else 10)


@pytest.mark.parametrize("sampler", [SequentialSampler, RandomSampler])
def test_a_sampler_of_other_data_is_left_alone(sampler):
    taken = sum(indices(loader(sampler=sampler(range(4)))), [])
    assert sorted(taken) == [0, 1, 2, 3]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_torchs_own_batch_sampler_is_as_its_arguments(drop_last, num_workers):
    """A loader that is given one has neither a batch size nor its sampler."""
    rest = {"collate_fn": identity, "num_workers": num_workers}
    for kind in (SequentialSampler, RandomSampler):
        batches = BatchSampler(kind(range(10)), 4, drop_last)
        source = DataLoader(Numbers(10), batch_sampler=batches, **rest)
        shuffle = kind is RandomSampler
        same = {"batch_size": 4, "shuffle": shuffle, "drop_last": drop_last, **rest}
        expected = DataLoader(Numbers(10), **same)
        for place in ({}, {"rank": 1, "world_size": 2}):
            assert indices(source, 1, 1, **place) == indices(expected, 1, 1, **place)
        assert len(EpochLoader(source, Sharding()).loader) == len(expected)


def test_samplers_of_a_part_of_the_data_are_left_alone():
    source = loader(sampler=SequentialSampler(range(3)))
    assert indices(source) == [[0, 1], [2]]
    batches = BatchSampler(SequentialSampler(range(3)), 2, False)
    source = DataLoader(Numbers(10), batch_sampler=batches, collate_fn=identity)
    assert indices(source) == [[0, 1], [2]]


def test_in_several_ranks_it_is_left_alone_with_a_warning():
    source = loader(sampler=WeightedRandomSampler([1.0] * 10, 10))
    with pytest.warns(UserWarning, match="WeightedRandomSampler is your own"):
        indices(source, rank=0, world_size=2)


def test_a_distributed_sampler_of_the_users_deals_by_itself_and_hears_of_the_epoch(
    recwarn,
):
    own, expected = (
        DistributedSampler(range(10), num_replicas=2, rank=1, seed=3) for _ in "12"
    )
    for epoch in (0, 1):
        expected.set_epoch(epoch)
        batches = indices(loader(sampler=own), epoch, rank=1, world_size=2)
        assert sum(batches, []) == list(expected)
    assert not recwarn.list


@pytest.mark.parametrize("replacement", [True, False])
def test_part_of_the_data_drawn_anew_each_epoch_is_the_users(replacement):
    sampler = RandomSampler(range(10), replacement=replacement, num_samples=4)
    batches = indices(loader(sampler=sampler))
    assert sum(map(len, batches)) == 4


def test_a_subclass_stays_what_it_is():
    class Own(DataLoader):
        extra = "kept"

    source = Own(Numbers(4), batch_size=2, collate_fn=identity)
    rebuilt = EpochLoader(source, Sharding()).loader
    assert type(rebuilt) is Own
    assert rebuilt is not source


def test_a_subclass_may_give_any_iterator():
    class Doubling(DataLoader):
        def __iter__(self):
            return map(identity, super().__iter__())

    source = Doubling(Numbers(4), batch_size=2, collate_fn=identity)
    assert len(list(EpochLoader(source, Sharding()).iterate(0))) == 2


def test_without_automatic_batches_samples_come_one_by_one():
    source = DataLoader(Numbers(5), batch_size=None)
    seen = [index for index, _ in EpochLoader(source, Sharding()).iterate(0)]
    assert seen == [0, 1, 2, 3, 4]


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(index, 0.0) for index in range(6)])


def test_iterable_data_has_no_length_and_cannot_start_in_mid_epoch():
    source = EpochLoader(
        DataLoader(Stream(), batch_size=2, collate_fn=identity), Sharding()
    )
    assert source.length == float("inf")
    assert len(list(source.iterate(0))) == 3
    with pytest.raises(L.CheckpointError, match="cannot go on from there"):
        source.iterate(0, skip=1)


def test_data_and_samplers_hear_of_the_epoch():
    class Epochs(Numbers):
        def set_epoch(self, epoch):
            self.epoch = epoch

    data = Epochs(4)
    source = EpochLoader(DataLoader(data, batch_size=2), Sharding())
    for epoch in (3, 4):
        list(source.iterate(epoch))
        assert data.epoch == epoch


def test_other_data_in_mid_epoch_is_refused():
    state = EpochLoader(loader(10), Sharding()).state_dict()
    other = EpochLoader(loader(12), Sharding())
    other.load_state_dict(state)
    with pytest.raises(L.CheckpointError, match=r"10 samples.*12 now"):
        list(other.iterate(0, skip=2))


class Opened(Numbers):
    """Its samples come from what a worker has opened for itself."""

    handle, scale = None, 1

    def __getitem__(self, index):
        return index, self.handle, self.scale


def open_for_worker(_):
    dataset = get_worker_info().dataset
    dataset.handle = type(dataset).__name__


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_worker_s_function_and_callbacks_see_the_user_s_own_data_set(
    context, persistent
):
    source = DataLoader(
        Opened(4),
        batch_size=2,
        collate_fn=identity,
        num_workers=1,
        worker_init_fn=open_for_worker,
        multiprocessing_context=context,
        persistent_workers=persistent,
    )
    built = EpochLoader(source, Sharding())
    _, batch = built.iterate(0)
    assert batch == [(2, "Opened", 1), (3, "Opened", 1)]
    assert built.loader.dataset is source.dataset
    assert built.loader.dataset[3] == (3, None, 1)
    assert built.loader.worker_init_fn is open_for_worker
    source.dataset.scale = 2
    scale = 1 if persistent else 2  # a worker that lives on has its own copy
    _, batch = built.iterate(1)
    assert batch == [(2, "Opened", scale), (3, "Opened", scale)]
    built.close()


class Lazy(DataLoader):
    """Starts its workers with the first batch."""

    def __iter__(self):
        yield from super().__iter__()


def test_a_loader_that_starts_its_workers_late_is_seeded_too():
    arguments = {"batch_size": 2, "collate_fn": identity, "num_workers": 1}
    late, usual = (
        [*EpochLoader(kind(Numbers(4), **arguments), Sharding()).iterate(0)]
        for kind in (Lazy, DataLoader)
    )
    assert late == usual


class Direct(DataLoader):
    """Makes torch's iterator itself."""

    def __iter__(self):
        return _MultiProcessingDataLoaderIter(self)


def test_a_loader_that_makes_its_own_iterator_gets_the_user_s_indices():
    source = Direct(Numbers(4), batch_size=2, collate_fn=identity, num_workers=1)
    assert indices(source) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_that_was_built_may_be_built_again(workers):
    built = EpochLoader(loader(4, num_workers=workers), Sharding()).loader
    assert indices(built) == [[0, 1], [2, 3]]
    again = DataLoader(
        built.dataset, batch_sampler=built.batch_sampler, collate_fn=identity
    )
    assert [[index for index, _ in batch] for batch in again] == [[0, 1], [2, 3]]


class Batches(Numbers):
    """Takes the indices of a batch at once."""

    def __getitem__(self, index):
        return list(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_may_take_a_whole_batch_s_indices(workers):
    data = Batches(5)
    sampler = BatchSampler(SequentialSampler(data), 2, drop_last=False)
    source = DataLoader(data, batch_size=None, sampler=sampler, num_workers=workers)
    assert [*EpochLoader(source, Sharding()).iterate(0)] == [[0, 1], [2, 3], [4]]
