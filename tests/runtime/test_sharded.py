"""Folders of `torch.distributed.checkpoint`: read as data only, and refused when hostile."""

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.utils.data import DataLoader

import scaffold_runtime as L
from scaffold_runtime.checkpoint import read_checkpoint
from tests.reliability.recorded_run import differences

ROOT = Path(__file__).parents[2]


class Net(L.LightningModule):
    def __init__(self, width=3):
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(2, width)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()

    def test_step(self, batch, batch_idx):
        self.log("loss", self.layer(batch).square().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1)


def trainer(root, **options):
    options = {"max_epochs": 1, "logger": False, "accelerator": "cpu", **options}
    shown = {"enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(
        default_root_dir=root, enable_checkpointing=False, **shown, **options
    )


def batches():
    generator = torch.Generator().manual_seed(0)
    return DataLoader(torch.randn(8, 2, generator=generator), batch_size=2)


def save(content, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(content, checkpoint_id=folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained module, and its checkpoint as a dict."""
    root = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    module, own = Net(width=5), trainer(root)
    own.fit(module, batches())
    own.save_checkpoint(root / "x.ckpt")
    return module, read_checkpoint(root / "x.ckpt")


@pytest.fixture
def folder(run, tmp_path):
    """What `dcp.save` makes of a whole checkpoint."""
    return save({**run[1], "loops": {}}, tmp_path / "folder")


def as_lightning_writes(content, folder):
    """Weights and optimizers sharded, by the parameters' names; the rest in `meta.pt`."""
    rest = dict(content)
    (optimizer,) = rest.pop("optimizer_states")
    names = list(rest["state_dict"])
    by_name = {
        "state": {names[index]: state for index, state in optimizer["state"].items()},
        "param_groups": [{**optimizer["param_groups"][0], "params": names}],
    }
    save({"model": rest.pop("state_dict"), "optimizer_0": by_name}, folder)
    torch.save({**rest, "loops": {}}, folder / "meta.pt")
    return folder


def test_what_was_saved_is_read(run, folder):
    expected = {k: v for k, v in run[1].items() if k not in ("loops", "callbacks")}
    assert differences(expected, read_checkpoint(folder)) == []


@pytest.mark.parametrize("numbers", [{30: 1, 80: 2}, {0: 3, 1: 4}, [1, 2]])
def test_keys_that_are_numbers_stay_keys(run, numbers, tmp_path):
    """The milestones of a MultiStepLR are such."""
    folder = as_lightning_writes({**run[1], "numbers": numbers}, tmp_path / "folder")
    assert read_checkpoint(folder)["numbers"] == numbers


def test_the_words_of_lightnings_strategies_are_known(run, tmp_path):
    folder = as_lightning_writes(run[1], tmp_path / "folder")
    read = {**read_checkpoint(folder), "loops": None}
    assert differences({**run[1], "loops": None}, read) == []


def test_weights_alone_are_a_checkpoint(run, tmp_path):
    folder = save(run[0].state_dict(), tmp_path / "weights")
    module = Net.load_from_checkpoint(folder, width=5)
    assert torch.equal(module.layer.weight, run[0].layer.weight)
    with pytest.raises(L.CheckpointError, match="weights only"):
        trainer(tmp_path).fit(Net(5), batches(), ckpt_path=folder)


def test_training_and_test_go_on_from_it(run, tmp_path):
    folder = as_lightning_writes(run[1], tmp_path / "folder")
    module = Net.load_from_checkpoint(folder)
    assert torch.equal(module.layer.weight, run[0].layer.weight)
    own = trainer(tmp_path)
    assert own.test(Net(5), batches(), ckpt_path=folder, verbose=False)[0]["loss"] > 0
    expected = trainer(tmp_path, max_epochs=3)
    torch.save({**run[1], "loops": {}}, tmp_path / "x.ckpt")
    resumed = trainer(tmp_path, max_epochs=3)
    with pytest.warns(UserWarning, match="not written by this package"):
        expected.fit(Net(5), batches(), ckpt_path=tmp_path / "x.ckpt")
        resumed.fit(Net(5), batches(), ckpt_path=folder)
    assert resumed.global_step == 8
    weights = (each.module.state_dict() for each in (expected, resumed))
    assert differences(*weights) == []


SHARDED = """
import sys
import torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
dist.init_process_group("gloo", store=dist.FileStore(sys.argv[1] + "/store", 2),
                        rank=int(sys.argv[2]), world_size=2)
torch.manual_seed(0)
module = torch.nn.Linear(3, 7)
if sys.argv[2] == "0":
    torch.save(module.state_dict(), sys.argv[1] + "/whole.pt")
fully_shard(module, mesh=init_device_mesh("cpu", (2,)))
dcp.save(module.state_dict(), checkpoint_id=sys.argv[1] + "/folder")
dist.destroy_process_group()
"""


def test_shards_of_two_ranks_are_put_together(tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SHARDED, tmp_path, rank]
        )
        for rank in "01"
    ]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    assert len(list((tmp_path / "folder").glob("*.distcp"))) == 2
    whole = torch.load(tmp_path / "whole.pt", weights_only=True)
    assert differences(whole, read_checkpoint(tmp_path / "folder")["state_dict"]) == []


def test_reading_imports_nothing_of_torchs(folder):
    program = f"""
import sys
from scaffold_runtime.checkpoint import read_checkpoint
read_checkpoint({str(folder)!r})
print(*(name for name in sys.modules if "distributed.checkpoint" in name))
"""
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}
    found = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert found.stdout.split() == []


# --- hostile folders ----------------------------------------------------------------------


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def change_index(folder, change):
    """Let a function change the index, with torch's own classes."""
    index = pickle.loads((folder / ".metadata").read_bytes())
    change(index)
    (folder / ".metadata").write_bytes(pickle.dumps(index))


def place_of(index, name):
    return next(v for key, v in index.storage_data.items() if key.fqn == name)


WEIGHT = "state_dict.layer.weight"


def claim_much(index):
    index.state_dict_metadata[WEIGHT].size = torch.Size([10**5, 10**5])


def claim_a_large_part(index):
    index.state_dict_metadata[WEIGHT].size = torch.Size([10**5, 10**5])
    index.state_dict_metadata[WEIGHT].chunks[0].sizes = torch.Size([10**5, 10**5])


def claim_one_part_often(index):
    place = place_of(index, WEIGHT)
    for number in range(1000):
        index.storage_data[f"part{number}"] = place


def lose_a_part(index):
    for key in [k for k in index.storage_data if k.fqn == WEIGHT]:
        del index.storage_data[key]


def in_the_index(attribute, value):
    def change(index):
        setattr(place_of(index, WEIGHT), attribute, value)

    return change


HOSTILE_INDEX = {
    "claims 10^10 elements": claim_much,
    "claims them in a part too": claim_a_large_part,
    "reads one part a thousand times": claim_one_part_often,
    "lacks a part": lose_a_part,
    "leads out of the folder": in_the_index("relative_path", "../outside"),
    "leads anywhere": in_the_index("relative_path", "/etc/passwd"),
    "begins before the file": in_the_index("offset", -1),
    "ends behind the file": in_the_index("offset", 10**12),
    "is empty": in_the_index("length", 0),
    "has a negative length": in_the_index("length", -5),
    "has a length that is no number": in_the_index("length", "many"),
}


@pytest.mark.parametrize("name", HOSTILE_INDEX)
def test_a_false_index_is_refused(name, folder, tmp_path):
    (tmp_path / "outside").write_bytes(b"x" * 10_000)
    change_index(folder, HOSTILE_INDEX[name])
    with pytest.raises(L.CheckpointError, match=f"{folder} is damaged"):
        read_checkpoint(folder)


def in_place_of_the_index(folder, payload):
    (folder / ".metadata").write_bytes(pickle.dumps(payload))


def in_the_planners_data(folder, payload):
    change_index(folder, lambda index: setattr(index, "planner_data", payload))


def in_a_plain_entry(folder, payload):
    save({"state_dict": {"weight": torch.ones(1)}, "epoch": payload}, folder)


def beside_the_tensors(folder, payload):
    torch.save({"callbacks": payload}, folder / "meta.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "hide",
    [
        in_place_of_the_index,
        in_the_planners_data,
        in_a_plain_entry,
        beside_the_tensors,
    ],
)
def test_no_payload_in_a_folder_runs(hide, folder, tmp_path):
    hide(folder, Payload(tmp_path / "ran"))
    with pytest.raises(L.CheckpointError, match=r"more than plain data.*mkdir"):
        read_checkpoint(folder)
    assert not (tmp_path / "ran").exists()


def data_file(folder):
    return next(folder.glob("*.distcp"))


def truncate(folder):
    os.truncate(data_file(folder), data_file(folder).stat().st_size // 2)


def flip_a_bit(folder):
    content = bytearray(data_file(folder).read_bytes())
    content[len(content) // 2] ^= 1
    data_file(folder).write_bytes(content)


def put_a_link(folder):
    target = data_file(folder).rename(folder.parent / "elsewhere")
    (folder / "__0_0.distcp").symlink_to(target)


def cut_the_index(folder):
    os.truncate(folder / ".metadata", 100)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip_a_bit,
        put_a_link,
        cut_the_index,
        lambda folder: data_file(folder).unlink(),
        lambda folder: (folder / ".metadata").write_bytes(b""),
        lambda folder: (folder / ".metadata").write_bytes(pickle.dumps([1, 2])),
        lambda folder: (folder / "meta.pt").write_text("no archive"),
    ],
)
def test_a_damaged_folder_is_refused(damage, folder):
    damage(folder)
    with pytest.raises(L.CheckpointError, match=f"{folder} is damaged"):
        read_checkpoint(folder)


def test_a_folder_without_an_index_is_no_checkpoint(tmp_path):
    with pytest.raises(L.CheckpointError, match="There is no checkpoint"):
        read_checkpoint(tmp_path)
