"""The Trainer's words for strategies, and what is refused by name."""

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import ShardingStrategy

import scaffold_runtime as L
from scaffold_runtime.engine import Engine
from scaffold_runtime.launch import rank_zero_only
from scaffold_runtime.strategies import (
    DDPStrategy,
    FSDPStrategy,
    SingleDeviceStrategy,
    Strategy,
    make_strategy,
)


@pytest.mark.parametrize(
    ("word", "world_size", "kind"),
    [
        ("auto", 1, SingleDeviceStrategy),
        ("auto", 2, DDPStrategy),
        ("single_device", 1, SingleDeviceStrategy),
        ("ddp", 2, DDPStrategy),
        ("DDP", 2, DDPStrategy),
        ("ddp_find_unused_parameters_true", 2, DDPStrategy),
        ("fsdp", 2, FSDPStrategy),
    ],
)
def test_a_word_names_a_strategy(word, world_size, kind):
    assert type(make_strategy(word, world_size)) is kind


def test_a_strategy_knows_its_place_and_reduces():
    strategy = L.Trainer(accelerator="cpu", logger=False).strategy
    assert isinstance(strategy, Strategy)
    assert (strategy.global_rank, strategy.local_rank, strategy.world_size) == (0, 0, 1)
    assert strategy.is_global_zero
    assert strategy.reduce(torch.ones(2), reduce_op="sum").tolist() == [1.0, 1.0]


def test_a_strategy_is_taken_as_it_is():
    strategy = DDPStrategy(static_graph=True)
    assert make_strategy(strategy, 2) is strategy


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("deepspeed", "fsdp"),
        ("deepspeed_stage_2", "fsdp"),
        ("ddp_spawn", "'ddp'"),
        ("dp", "'ddp'"),
        ("xla", "accelerator"),
        ("ddq", "'ddp'"),
    ],
)
def test_an_unsupported_word_is_refused_with_what_to_use_instead(word, instead):
    with pytest.raises(L.MisconfigurationError, match=instead):
        L.Trainer(strategy=word, max_epochs=1, logger=False)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("use_orig_params", False),
        ("state_dict_type", "sharded"),
        ("backward_prefetch", True),
        ("ignored_modules", []),
        ("nonsense", True),
    ],
)
def test_an_option_of_fsdp1_is_refused_by_name(option, value):
    with pytest.raises(L.MisconfigurationError, match=option):
        FSDPStrategy(**{option: value})


def test_what_fsdp2_always_does_may_be_said():
    assert FSDPStrategy(use_orig_params=True, state_dict_type="full")


@pytest.mark.parametrize("name", ["FULL_SHARD", "SHARD_GRAD_OP", "HYBRID_SHARD"])
def test_fsdp1s_sharding_strategies_are_taken_as_words_and_as_members(name):
    assert FSDPStrategy(sharding_strategy=name)
    assert FSDPStrategy(sharding_strategy=ShardingStrategy[name])


def test_what_fsdp2_cannot_shard_by_is_refused():
    with pytest.raises(L.MisconfigurationError, match="ddp"):
        FSDPStrategy(sharding_strategy="NO_SHARD")
    with pytest.raises(L.MisconfigurationError, match="HYBRID_SHARD"):
        FSDPStrategy(device_mesh=(1, 2))


def test_several_devices_need_a_strategy_that_knows_of_them():
    with pytest.raises(L.MisconfigurationError, match="ddp"):
        L.Trainer(accelerator="cpu", devices=2, strategy="single_device", logger=False)


def test_one_process_answers_for_itself():
    strategy = Strategy()
    tensor = torch.tensor([1.0, 2.0])
    assert strategy.broadcast("word") == "word"
    assert strategy.all_gather(tensor) is tensor
    assert strategy.all_reduce(tensor, "sum") is tensor
    assert strategy.agree(False) is False
    assert strategy.agree_on_most(3, 1) == (3, 1)


def test_offload_to_the_cpu_of_the_cpu_is_refused():
    class Net(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

    trainer = L.Trainer(
        accelerator="cpu", strategy="fsdp_cpu_offload", max_epochs=1, logger=False
    )
    with pytest.raises(L.MisconfigurationError, match="cpu_offload"):
        trainer.fit(Net())


def test_activations_are_computed_again_where_the_policy_says():
    class Counted(nn.Linear):
        calls = 0

        def forward(self, x):
            Counted.calls += 1
            return super().forward(x)

    class Net(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(Counted(2, 2), nn.Linear(2, 1))

        def training_step(self, batch, batch_idx):
            return self.layers(batch).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    strategy = FSDPStrategy(activation_checkpointing_policy={Counted})
    quiet = {"logger": False, "enable_checkpointing": False, "max_epochs": 1}
    quiet |= {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", strategy=strategy, devices=1, **quiet)
    try:
        trainer.fit(Net(), [torch.ones(1, 2), torch.ones(1, 2)])
    finally:
        torch.distributed.destroy_process_group()
    assert Counted.calls == 4


def test_who_joins_the_others_speaks_with_that_rank(monkeypatch):
    """A process that was started from Python knows its rank only then."""
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    Engine(accelerator="cpu", strategy="ddp", devices=1).launch()
    torch.distributed.destroy_process_group()
    assert rank_zero_only.rank == 0


def test_what_distributed_data_parallel_does_not_take_is_refused_when_it_is_given():
    DDPStrategy(bucket_cap_mb=10)
    with pytest.raises(L.MisconfigurationError, match=r"start_method=\.\.\."):
        DDPStrategy(start_method="fork")
