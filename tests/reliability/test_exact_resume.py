"""A run that is stopped anywhere and resumed ends bitwise as one that was never stopped.

Each case trains once without a stop, once more with a checkpoint at every place where a
run may be stopped, and then goes on from each of these.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, Subset, WeightedRandomSampler

import scaffold_runtime as L
from scaffold_runtime.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    WeightAveraging,
)
from scaffold_runtime.errors import CheckpointError
from tests.reliability.recorded_run import (
    BATCH_SIZE,
    SAMPLES,
    Samples,
    SaveEverywhere,
    differences,
    fit,
    loader,
    outcome,
    run_case,
)
from tests.reliability.users_data import (
    BatchesOfOwnGenerator,
    BatchList,
    LazySampler,
    SamplesOfOwnGenerator,
    SizedStream,
    StatefulStream,
    Stream,
)
from tests.reliability.users_nets import (
    ManualNet,
    NetInParts,
    NetOfSeveral,
    NetThatStops,
    NetWithMetrics,
    NetWithPlateaus,
    NetWithPlateausOfEpochs,
    ThawLastLayer,
)


def several(mode="max_size_cycle", **others):
    """A loader of 8 batches, one of 3 whose sampler goes on by itself, and others."""
    generator = torch.Generator().manual_seed(3)
    weighted = WeightedRandomSampler(range(1, 9), 8, generator=generator)
    short = DataLoader(Samples(8), batch_size=BATCH_SIZE, sampler=weighted)
    return L.CombinedLoader({"short": short, "long": loader(), **others}, mode)


def combined(mode="max_size_cycle", **others):
    made = {"data": lambda: several(mode, **{k: make() for k, make in others.items()})}
    return {"net": NetOfSeveral, **made}


def sampled(sampler, **arguments):
    return DataLoader(Samples(), batch_size=BATCH_SIZE, sampler=sampler, **arguments)


def streamed(dataset):
    return DataLoader(dataset, batch_size=BATCH_SIZE)


def validation():
    return loader(shuffle=False)


CASES = {
    "plain": {},
    "accumulation": {"accumulate_grad_batches": 3},
    "clipping": {"gradient_clip_val": 0.5},
    "bfloat16": {"precision": "bf16-mixed"},
    "limited_epochs": {"limit_train_batches": 5},
    "max_steps": {"max_steps": 11, "max_epochs": -1},
    "max_steps_in_accumulation": {
        "max_steps": 5,
        "max_epochs": -1,
        "accumulate_grad_batches": 3,
        "val": validation,
    },
    "validation": {"val": validation},
    "validation_within_epochs": {"val": validation, "val_check_interval": 3},
    "validation_across_epochs": {
        "val": validation,
        "val_check_interval": 5,
        "check_val_every_n_epoch": None,
    },
    "validation_in_accumulation": {
        "val": validation,
        "val_check_interval": 0.5,
        "accumulate_grad_batches": 3,
    },
    "early_stopping": {
        "callbacks": lambda: [EarlyStopping("val_loss", mode="max")],
        "val": validation,
        "val_check_interval": 2,
    },
    "finetuning": {"net": NetInParts, "callbacks": lambda: [ThawLastLayer()]},
    "asked_to_stop": {"net": NetThatStops, "val": validation},
    "weight_averaging": {"callbacks": lambda: [WeightAveraging()]},
    "moving_average": {
        "callbacks": lambda: [EMAWeightAveraging(decay=0.8)],
        "val": validation,
        "val_check_interval": 4,
    },
    "sanity_check": {
        "num_sanity_val_steps": 2,
        "val": validation,
        "check_val_every_n_epoch": 3,
    },
    "plateaus_within_epochs": {"net": NetWithPlateaus},
    "torchmetrics": {"net": NetWithMetrics, "val": validation, "val_check_interval": 3},
    "torchmetrics_of_few_batches": {
        "net": NetWithMetrics,
        "overfit_batches": 3,
        "max_epochs": 3,
    },
    "manual_optimization": {"net": ManualNet},
    "reloaded_loaders": {"reload_dataloaders_every_n_epochs": 1},
    "workers": {"data": lambda: loader(workers=2)},
    "persistent_workers": {"data": lambda: loader(workers=2, persistent_workers=True)},
    "weighted_sampler": {
        "data": lambda: sampled(WeightedRandomSampler(range(1, SAMPLES + 1), SAMPLES))
    },
    "sampler_with_replacement": {
        "data": lambda: sampled(RandomSampler(range(SAMPLES), replacement=True))
    },
    "lazy_sampler": {"data": lambda: sampled(LazySampler())},
    "lazy_sampler_and_workers": {"data": lambda: sampled(LazySampler(), num_workers=2)},
    "sampler_with_a_generator": {
        "data": lambda: sampled(LazySampler(random.Random(1)))
    },
    "batch_sampler_with_a_generator": {
        "data": lambda: DataLoader(Samples(), batch_sampler=BatchesOfOwnGenerator()),
        "limit_train_batches": 5,
    },
    "data_set_with_a_generator": {
        "data": lambda: loader(dataset=Subset(SamplesOfOwnGenerator(), range(SAMPLES)))
    },
    "data_set_with_a_generator_and_workers": {
        "data": lambda: loader(workers=2, dataset=SamplesOfOwnGenerator())
    },
    "list_of_batches": {
        "data": lambda: list(DataLoader(Samples(augment=False), batch_size=BATCH_SIZE))
    },
    "stateful_stream": {"data": lambda: streamed(StatefulStream())},
    "stateful_stream_and_plateaus": {
        "net": NetWithPlateausOfEpochs,
        "data": lambda: streamed(StatefulStream()),
        "val": validation,
    },
    "stateful_stream_limited": {
        "data": lambda: streamed(StatefulStream()),
        "limit_train_batches": 5,
    },
    "stateful_stream_accumulated": {
        "data": lambda: streamed(StatefulStream()),
        "accumulate_grad_batches": 3,
    },
    "sized_stream": {"data": lambda: streamed(SizedStream())},
    "loader_of_its_own": {"data": BatchList},
    "combined_in_cycles": combined(stream=lambda: streamed(SizedStream())),
    "combined_in_cycles_of_unknown_length": combined(
        stream=lambda: streamed(StatefulStream())
    ),
    "combined_to_the_longest": combined("max_size"),
    "combined_to_the_shortest": {**combined("min_size"), "max_epochs": 5},
    "combined_and_workers": combined(more=lambda: loader(workers=2)),
}
SLOW = {name for name in CASES if "workers" in name}
SAMPLE = slice(1, None, 4)


def check(case, root, places=slice(None)):
    """Compare the run without a stop with those resumed from the places and the last."""
    whole = run_case(root, **case)
    expected, seen = outcome(whole), whole.module.seen
    saves = SaveEverywhere(root)
    assert differences(expected, outcome(run_case(root, saves, **case))) == []
    assert len(saves.written) > 10
    for path in dict.fromkeys([*saves.written[places], saves.written[-1]]):
        resumed = run_case(root, ckpt_path=path, seed=5, **case)
        assert differences(expected, outcome(resumed)) == [], path.name
        again = resumed.module.seen
        assert again == seen[len(seen) - len(again) :], path.name


def test_resumed_at_every_place(tmp_path):
    check(CASES["plain"], tmp_path)


@pytest.mark.parametrize("name", sorted(set(CASES) - SLOW))
def test_resumed_at_a_sample_of_places(name, tmp_path):
    check(CASES[name], tmp_path, SAMPLE)


@pytest.mark.parametrize("name", sorted(SLOW))
def test_resumed_with_workers(name, tmp_path):
    check(CASES[name], tmp_path, slice(3, None, 9))


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_case_resumed_at_every_place(name, tmp_path):
    check(CASES[name], tmp_path)


def test_every_sample_is_seen_once_an_epoch(tmp_path):
    saves = SaveEverywhere(tmp_path)
    fit(tmp_path, saves)
    for path in saves.written[1:8]:
        seen = fit(tmp_path, ckpt_path=path).module.seen
        before = fit(tmp_path).module.seen[: 16 - len(seen)]
        epoch_0 = [i for epoch, _, ids in before + seen if epoch == 0 for i in ids]
        assert sorted(epoch_0) == list(range(SAMPLES))


def test_epochs_and_seeds_have_orders_of_their_own(tmp_path):
    ids = [ids for _, _, ids in fit(tmp_path).module.seen]
    other = [ids for _, _, ids in fit(tmp_path, seed=1).module.seen]
    assert ids[:8] != ids[8:]
    assert ids != other


PROGRAM = """
import sys
import torch
from tests.reliability.recorded_run import SaveEverywhere, fit, outcome
root, ckpt_path, result = sys.argv[1:]
callbacks = [] if ckpt_path else [SaveEverywhere(root)]
torch.save(outcome(fit(root, *callbacks, ckpt_path=ckpt_path or None)), result)
"""


def in_new_process(root, ckpt_path, result):
    top = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, root, ckpt_path, result]
    subprocess.run([str(word) for word in command], check=True, cwd=top)
    return torch.load(result, weights_only=False)


def places_to_resume_from(root):
    return sorted(root.glob("*.ckpt"))


def check_new_processes(tmp_path, places):
    expected = in_new_process(tmp_path, "", tmp_path / "expected.pt")
    for path in places_to_resume_from(tmp_path)[places]:
        resumed = in_new_process(tmp_path, path, tmp_path / "resumed.pt")
        assert differences(expected, resumed) == [], path.name


def test_resumed_in_a_new_process(tmp_path):
    check_new_processes(tmp_path, slice(4, None, 9))


@pytest.mark.full
def test_resumed_in_new_processes_at_every_place(tmp_path):
    check_new_processes(tmp_path, slice(None))


def test_early_stopping_does_stop_in_its_case(tmp_path):
    assert run_case(tmp_path, **CASES["early_stopping"]).progress.batches < 16


def test_metrics_of_the_last_epoch_are_logged_by_the_resumed_run(tmp_path):
    saves = SaveEverywhere(tmp_path)
    fit(tmp_path, saves)
    last = [path for path in saves.written if "train_epoch_end" in path.name][-1]
    resumed = fit(tmp_path, ckpt_path=last, logger=True)
    assert "loss_epoch" in Path(resumed.log_dir, "metrics.csv").read_text()


# --- where exactness cannot hold ----------------------------------------------------------


class SaveAfterThreeBatches(SaveEverywhere):
    def save(self, trainer, place):
        if place == "train_batch_end" and trainer.progress.batch == 3:
            super().save(trainer, place)


def saved_in_mid_epoch(root, **options):
    saves = SaveAfterThreeBatches(root)
    fit(root, saves, **options)
    return saves.written[0]


def test_a_stream_without_a_state_is_refused_in_mid_epoch(tmp_path):
    path = saved_in_mid_epoch(tmp_path, data=streamed(Stream()))
    with pytest.raises(CheckpointError, match=r"batch 3 .* state_dict and load_state"):
        fit(tmp_path, data=streamed(Stream()), ckpt_path=path)


def test_a_stream_without_a_state_goes_on_at_an_epochs_end(tmp_path):
    saves = SaveEverywhere(tmp_path)
    expected = outcome(fit(tmp_path, saves, data=streamed(Stream())))
    path = next(path for path in saves.written if "train_epoch_end" in path.name)
    resumed = fit(tmp_path, data=streamed(Stream()), ckpt_path=path)
    assert differences(expected, outcome(resumed)) == []


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (lambda: loader(dataset=Samples(SAMPLES + 1)), "samples in the data set"),
        (lambda: loader(batch_size=BATCH_SIZE + 1), "samples in a batch"),
    ],
)
def test_other_data_is_refused_in_mid_epoch(data, word, tmp_path):
    path = saved_in_mid_epoch(tmp_path)
    with pytest.raises(CheckpointError, match=word):
        fit(tmp_path, data=data(), ckpt_path=path)


def test_a_save_within_a_step_is_told_when_it_is_resumed(tmp_path):
    class SaveWithin(L.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            trainer.save_checkpoint(tmp_path / "within.ckpt")

    fit(tmp_path, SaveWithin(), max_steps=3)
    with pytest.warns(UserWarning, match="saved within a step"):
        fit(tmp_path, ckpt_path=tmp_path / "within.ckpt")


def test_a_save_before_a_resumed_run_has_gone_on_is_as_good_as_the_first(tmp_path):
    expected = outcome(fit(tmp_path))
    saves = SaveEverywhere(tmp_path)
    fit(tmp_path, saves)
    for path in saves.written[::5]:
        again = SaveEverywhere(tmp_path / path.stem)
        fit(tmp_path, again, ckpt_path=path, seed=5)
        first = again.written[0]
        assert "train_start" in first.name
        resumed = outcome(fit(tmp_path, ckpt_path=first, seed=7))
        assert differences(expected, resumed) == [], path.name


def test_model_checkpoint_resumes_its_own_record(tmp_path):
    def callbacks():
        folder = tmp_path / "record"
        return [ModelCheckpoint(folder, monitor="loss", save_top_k=2, save_last=True)]

    saves = SaveEverywhere(tmp_path)
    whole = fit(tmp_path, *callbacks(), saves, enable_checkpointing=True)
    expected = whole.checkpoint_callback.state_dict()
    path = next(path for path in saves.written if "train_epoch_end" in path.name)
    resumed = fit(
        tmp_path, *callbacks(), ckpt_path=path, enable_checkpointing=True
    ).checkpoint_callback.state_dict()
    names = {Path(name).stem.split("-v")[0] for name in expected["best_k_models"]}
    assert {Path(n).stem.split("-v")[0] for n in resumed["best_k_models"]} == names
