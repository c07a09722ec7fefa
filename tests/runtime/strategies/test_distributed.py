"""One process, DDP and FSDP train alike, started by `devices` and by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scaffold_runtime.checkpoint import read_checkpoint
from tests.runtime.strategies.training import Net, run

SCRIPT = Path(__file__).with_name("training.py")
ROOT = Path(__file__).parents[3]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
LAUNCHES = {
    "one process": ((), "auto", "1"),
    "ddp by devices": ((), "ddp", "2"),
    "ddp by torchrun": (TORCHRUN, "ddp", "auto"),
    "fsdp by devices": ((), "fsdp", "2"),
    "fsdp by torchrun": (TORCHRUN, "fsdp", "2"),
}
IN_TWO = [name for name in LAUNCHES if name != "one process"]
FAILING = "ddp by devices"
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """The results of a launch by its name, run once: (process, [rank 0's, rank 1's])."""
    done = {}

    def launched(name):
        if name not in done:
            alone = () if name == "one process" else [launched("one process")[2]]
            resumed = [folder / "mid.ckpt" for folder in alone]
            done[name] = _launch(name, tmp_path_factory.mktemp("run"), resumed)
        return done[name]

    return launched


def _launch(name, folder, resumed):
    launcher, strategy, devices = LAUNCHES[name]
    command = [sys.executable, *launcher, SCRIPT, folder, strategy, devices, *resumed]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "runtime"),
    }
    if name == FAILING:
        environment["EXIT_OF_RANK_1"] = "7"
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment
    )
    ranks = sorted(folder.glob("rank-*.json"))
    assert ranks, process.stderr
    return process, [json.loads(rank.read_text()) for rank in ranks], folder


@pytest.mark.parametrize("way", ["plain", "accumulated", "batch norm"])
@pytest.mark.parametrize("name", IN_TWO)
def test_losses_are_those_of_one_process(name, way, launch):
    _, (alone,), _ = launch("one process")
    _, ranks, _ = launch(name)
    assert len(set(alone[way]["losses"])) == 10
    for rank in ranks:
        assert rank[way]["losses"] == pytest.approx(alone[way]["losses"], rel=1e-5)
        assert rank[way]["loss_epoch"] == pytest.approx(
            alone[way]["loss_epoch"], rel=1e-5
        )
        assert rank[way]["steps"] == alone[way]["steps"]


@pytest.mark.parametrize("name", ["ddp by devices", "ddp by torchrun"])
def test_backward_passes_by_hand_share_their_gradients(name, launch):
    _, (alone,), _ = launch("one process")
    _, ranks, _ = launch(name)
    assert alone["by hand"]["losses"] == alone["plain"]["losses"]
    for rank in ranks:
        assert rank["by hand"]["losses"] == pytest.approx(
            alone["by hand"]["losses"], rel=1e-5
        )


@pytest.mark.parametrize("name", ["ddp by devices", "ddp by torchrun"])
def test_two_optimizers_in_turn_share_their_gradients(name, launch):
    _, (alone,), _ = launch("one process")
    _, ranks, _ = launch(name)
    for rank in ranks:
        assert rank["in turn"]["losses"] == pytest.approx(
            alone["in turn"]["losses"], rel=1e-5
        )


@pytest.mark.parametrize("name", IN_TWO)
def test_mixed_precision_stays_close_and_is_on(name, launch):
    _, (alone,), _ = launch("one process")
    _, ranks, _ = launch(name)
    losses = ranks[0]["bf16"]["losses"]
    assert losses == pytest.approx(alone["bf16"]["losses"], rel=2e-2)
    assert losses != pytest.approx(alone["plain"]["losses"], rel=1e-5)


@pytest.mark.parametrize("name", IN_TWO)
def test_each_step_has_the_samples_of_one_process(name, launch):
    _, (alone,), _ = launch("one process")
    _, (first, second), _ = launch(name)
    for step, samples in enumerate(alone["plain"]["seen"]):
        shares = first["plain"]["seen"][step] + second["plain"]["seen"][step]
        assert sorted(shares) == sorted(samples)


def assert_goes_on(rank, alone):
    """The steps after the third are those of the run that was never stopped."""
    assert len(rank["losses"]) == 7
    assert rank["losses"] == pytest.approx(alone["losses"][3:], rel=1e-5)
    assert rank["steps"] == alone["steps"]


@pytest.mark.parametrize("name", IN_TWO)
def test_two_processes_go_on_in_the_middle_of_what_one_began(name, launch):
    _, (alone,), _ = launch("one process")
    _, (first, second), _ = launch(name)
    for rank in (first, second):
        assert_goes_on(rank["resumed"], alone["plain"])
    for step, samples in enumerate(alone["plain"]["seen"][3:]):
        shares = first["resumed"]["seen"][step] + second["resumed"]["seen"][step]
        assert sorted(shares) == sorted(samples)


@pytest.mark.parametrize("name", IN_TWO)
def test_one_process_goes_on_in_the_middle_of_what_two_began(name, launch, tmp_path):
    _, (alone,), _ = launch("one process")
    mid = launch(name)[2] / "mid.ckpt"
    resumed = run("resumed", {}, tmp_path, "auto", 1, str(mid))
    assert_goes_on(resumed, alone["plain"])
    assert resumed["seen"] == alone["plain"]["seen"][3:]


@pytest.mark.parametrize("name", IN_TWO)
def test_evaluation_counts_every_sample_once(name, launch):
    _, (alone,), _ = launch("one process")
    _, ranks, _ = launch(name)
    predicted = [index for rank in ranks for index in rank["plain"]["predicted"]]
    assert sorted(predicted) == list(range(36))
    for rank in ranks:
        assert rank["plain"]["validated"]["samples"] == 36
        assert rank["plain"]["validated"]["val_loss"] == pytest.approx(
            alone["plain"]["validated"]["val_loss"], rel=1e-5
        )


@pytest.mark.parametrize("name", IN_TWO)
def test_ranks_agree_on_one_checkpoint(name, launch):
    _, ranks, _ = launch(name)
    for rank in ranks:
        assert rank["plain"]["best"] == "epoch=1-step=10.ckpt"
        assert rank["plain"]["saved"] == ["epoch=1-step=10.ckpt", "last.ckpt"]


@pytest.mark.parametrize("name", IN_TWO)
def test_its_checkpoint_is_whole_and_loads_in_one_process(name, launch):
    _, _, alone = launch("one process")
    _, _, folder = launch(name)
    weights = Net.load_from_checkpoint(folder / "plain" / "last.ckpt").state_dict()
    expected = Net.load_from_checkpoint(alone / "plain" / "last.ckpt").state_dict()
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, rtol=1e-4, atol=1e-6)
    weights = read_checkpoint(folder / "batch norm" / "last.ckpt")["state_dict"]
    expected = read_checkpoint(alone / "batch norm" / "last.ckpt")["state_dict"]
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, rtol=1e-4, atol=1e-6)
    moments = read_checkpoint(folder / "plain" / "last.ckpt")["optimizer_states"][0]
    assert moments["state"][0]["exp_avg"].shape == (6, 6)


def test_fsdp1s_words_mean_what_they_say(launch):
    _, (alone,), _ = launch("one process")
    _, ranks, folder = launch("fsdp by devices")
    for rank in ranks:
        losses = rank["words of fsdp1"]["losses"]
        assert losses == pytest.approx(alone["plain"]["losses"], rel=2e-2)
        assert losses != pytest.approx(alone["plain"]["losses"], rel=1e-5)
        assert rank["words of fsdp1"]["local_shape"] == [6, 6]
    saved = read_checkpoint(folder / "words of fsdp1" / "last.ckpt")["state_dict"]
    assert saved.keys() == Net().state_dict().keys()
    assert saved["head.weight"].shape == (1, 6)


@pytest.mark.parametrize("name", ["fsdp by devices", "fsdp by torchrun"])
def test_fsdp_holds_a_slice_on_each_rank(name, launch):
    _, ranks, _ = launch(name)
    assert [rank["plain"]["local_shape"] for rank in ranks] == [[3, 6], [3, 6]]


@pytest.mark.parametrize("name", IN_TWO)
def test_what_follows_fit_runs_on_every_rank_and_nowhere_else(name, launch):
    process, (ways, _), _ = launch(name)
    said = [line for line in process.stdout.splitlines() if "after fit" in line]
    expected = [f"after fit of {way}: rank {rank}" for way in ways for rank in (0, 1)]
    assert sorted(said) == sorted(expected)


def test_the_exit_code_is_the_failing_workers(launch):
    assert launch(FAILING)[0].returncode == 7
    assert "Traceback" not in launch(FAILING)[0].stderr


@pytest.mark.parametrize("name", ["one process", "fsdp by devices", "ddp by torchrun"])
def test_the_exit_code_of_success_is_zero(name, launch):
    assert launch(name)[0].returncode == 0, launch(name)[0].stderr
