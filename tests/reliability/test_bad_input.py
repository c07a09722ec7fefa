"""Bad input of every kind: one sentence, nothing written, and no payload runs.

Every case is a function that does something wrong with the things at its hand; CASES
counts them. What a case means in detail is tested where its subject is.
"""

import importlib
import os
import pickle
import re
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

import scaffold_runtime as L
from scaffold import catalog, source, tree
from scaffold.cli import main
from scaffold.new import apply_new, plan_new
from scaffold.render import render
from scaffold_runtime.checkpoint import read_checkpoint
from scaffold_runtime.cli import CLI
from scaffold_runtime.errors import UserError
from scaffold_runtime.restore import read_hparams
from tests.reliability.recorded_run import QUIET, Net, fit, loader
from tests.runtime.cli.project import Data, OwnOptimizer
from tests.scaffold.command_line import HOUSE

HUGE = 10**5


class Hands:
    """What a case has at hand, in a folder of its own that is the current one.

    Attributes:
        folder: the current folder.
        content: a run's checkpoint as a dict; `file` is the same, written.
        sharded: the same as a folder of `torch.distributed.checkpoint`.
        ran: a folder that a payload would remove.
    """

    def __init__(self, folder, content, sharded):
        self.folder, self.file = folder, folder / "x.ckpt"
        torch.save(content, self.file)
        self.content = read_checkpoint(self.file)
        self.sharded = shutil.copytree(sharded, folder / "sharded")
        self.ran = folder / "ran"
        self.ran.mkdir()

    def payload(self, function=shutil.rmtree):
        """An object whose pickle calls a function that removes the folder `ran`."""
        return Payload(function, str(self.ran))

    def write(self, name, content):
        """A file with this text or these bytes."""
        path = self.folder / name
        content = content if isinstance(content, bytes) else content.encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


class Payload:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CASES: dict[str, Callable[[Hands], None]] = {}


def case(*names):
    """Add cases of a function, one for each of its arguments, or one without."""

    def add(function):
        kind = function.__name__.replace("_", " ")
        for name in names or [None]:
            title = kind if name is None else f"{kind}: {name}"
            assert title not in CASES
            arguments = {} if name is None else {"what": name}
            CASES[title] = partial(function, **arguments)
        return function

    return add


# --- checkpoint files ---------------------------------------------------------------------

FIT = ("loops", "fit_loop")
OPTIMIZER = ("optimizer_states", 0)
SLOTS = {
    "epoch": ("epoch",),
    "global_step": ("global_step",),
    "state_dict": ("state_dict",),
    "a weight": ("state_dict", "layers.0.weight"),
    "loops": ("loops",),
    "fit_loop": FIT,
    "progress": (*FIT, "progress"),
    "a counter": (*FIT, "progress", "batch"),
    "seed": (*FIT, "seed"),
    "loader": (*FIT, "loader"),
    "metrics": (*FIT, "callback_metrics"),
    "ranks": (*FIT, "ranks"),
    "gradients": (*FIT, "ranks", 0, "gradients"),
    "random_state": (*FIT, "ranks", 0, "random_state"),
    "running metrics": (*FIT, "ranks", 0, "metrics"),
    "callbacks": ("callbacks",),
    "optimizer_states": ("optimizer_states",),
    "optimizer": OPTIMIZER,
    "moments": (*OPTIMIZER, "state"),
    "a moment": (*OPTIMIZER, "state", 0, "exp_avg"),
    "param_groups": (*OPTIMIZER, "param_groups"),
    "lr_schedulers": ("lr_schedulers",),
    "hyper_parameters": ("hyper_parameters",),
}


def put(content, slot, value):
    """Put a value into a slot of a checkpoint's copy."""
    *path, last = SLOTS[slot]
    for step in path:
        content = content[step]
    content[last] = value


def resume(hands, file=None):
    hands.prepared()
    fit(hands.folder, ckpt_path=file or hands.file, limit_train_batches=6)


def evaluate(hands, file=None):
    class Tested(Net):
        test_step = Net.validation_step

    trainer = L.Trainer(
        default_root_dir=hands.folder, enable_checkpointing=False, **QUIET
    )
    hands.prepared()
    trainer.test(Tested(), loader(), ckpt_path=file or hands.file)


def load(hands, file=None):
    hands.prepared()
    Net.load_from_checkpoint(file or hands.file)


@case(*SLOTS)
def payload_in_a_checkpoints(hands, what):
    put(hands.content, what, hands.payload())
    torch.save(hands.content, hands.file)
    resume(hands)


@case(*(set(SLOTS) - {"a moment"}))  # what an optimizer makes of its state is its own
def wrong_type_in_a_checkpoints(hands, what):
    put(hands.content, what, "text")
    torch.save(hands.content, hands.file)
    resume(hands)


@case("state_dict", "optimizer_states", "ranks", "a weight", "param_groups")
def checkpoint_lacks(hands, what):
    *path, last = SLOTS[what]
    inner = hands.content
    for step in path:
        inner = inner[step]
    del inner[last]
    torch.save(hands.content, hands.file)
    resume(hands)


@case("a weight", "a moment", "gradients", "random_state")
def checkpoint_claims_10_billion_elements_as(hands, what):
    huge = torch.zeros(1, dtype=torch.uint8).expand(HUGE, HUGE)
    put(hands.content, what, {"layers.0.weight": huge} if what == "gradients" else huge)
    torch.save(hands.content, hands.file)
    assert hands.file.stat().st_size < 100_000
    resume(hands)


@case("a weight", "state_dict")
def payload_met_by_load_from_checkpoint_in(hands, what):
    put(hands.content, what, hands.payload(os.rmdir))
    torch.save(hands.content, hands.file)
    load(hands)


@case("a weight", "hyper_parameters")
def payload_met_by_test_in(hands, what):
    put(hands.content, what, hands.payload())
    torch.save(hands.content, hands.file)
    evaluate(hands)


def zip_of(**entries):
    def make(hands):
        with zipfile.ZipFile(hands.file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(f"x/{name.replace('_', '.')}", content)

    return make


def truncated(share):
    return lambda hands: os.truncate(hands.file, int(hands.file.stat().st_size * share))


def replaced_by(content):
    return lambda hands: hands.file.write_bytes(content)


def link_to(target):
    def make(hands):
        hands.file.unlink()
        hands.file.symlink_to(target)

    return make


def other_kind(make):
    def change(hands):
        hands.file.unlink()
        make(hands.file)

    return change


def bare_pickle(hands):
    hands.file.write_bytes(pickle.dumps(hands.payload()))


def old_format(hands):
    content = {"state_dict": hands.payload()}
    torch.save(content, hands.file, _use_new_zipfile_serialization=False)


def flipped(hands):
    content = bytearray(hands.file.read_bytes())
    content[len(content) // 2] ^= 1
    hands.file.write_bytes(content)


def torchscript(hands):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(1, 1)).save(hands.file)


FILES = {
    "missing": lambda hands: hands.file.unlink(),
    "empty": replaced_by(b""),
    "one byte": replaced_by(b"P"),
    "text": replaced_by(b"no archive at all\n"),
    "garbage": replaced_by(os.urandom(10_000)),
    "zeroes": replaced_by(bytes(100_000)),
    "1% of it": truncated(0.01),
    "half of it": truncated(0.5),
    "99% of it": truncated(0.99),
    "flipped bit": flipped,
    "bare pickle with a payload": bare_pickle,
    "old format with a payload": old_format,
    "list": lambda hands: torch.save([1, 2], hands.file),
    "tensor": lambda hands: torch.save(torch.ones(3), hands.file),
    "TorchScript": torchscript,
    "link to nothing": link_to("nowhere"),
    "link to itself": link_to("x.ckpt"),
    "folder": other_kind(Path.mkdir),
    "pipe": other_kind(os.mkfifo),
    "device": link_to("/dev/zero"),
    "empty archive": zip_of(),
    "compressed archive": zip_of(data_pkl=b"\x80\x02}."),
    "archive that unpacks to 100 MB": zip_of(data_pkl=bytes(10**8)),
}


@case(*FILES)
def no_checkpoint_but(hands, what):
    FILES[what](hands)
    resume(hands)


@case("empty", "flipped bit", "bare pickle with a payload", "missing", "pipe")
def nothing_to_test_but(hands, what):
    FILES[what](hands)
    evaluate(hands)


@case("text", "half of it", "old format with a payload", "link to itself", "list")
def nothing_to_load_but(hands, what):
    FILES[what](hands)
    load(hands)


# --- folders of torch.distributed.checkpoint ----------------------------------------------

WEIGHT = "state_dict.layers.0.weight"


def place_of_weight(index):
    places = index.storage_data.items()
    return next(place for key, place in places if key.fqn == WEIGHT)


def set_place(attribute, value):
    return lambda index: setattr(place_of_weight(index), attribute, value)


def claim_much(index):
    index.state_dict_metadata[WEIGHT].size = torch.Size([HUGE, HUGE])


def claim_much_in_parts(index):
    claim_much(index)
    index.state_dict_metadata[WEIGHT].chunks[0].sizes = torch.Size([HUGE, HUGE])


def read_one_part_often(index):
    place = place_of_weight(index)
    index.storage_data |= {f"part {number}": place for number in range(1000)}


INDEXES = {
    "claims much": claim_much,
    "claims much in parts": claim_much_in_parts,
    "reads one part often": read_one_part_often,
    "leads out of the folder": set_place("relative_path", "../x.ckpt"),
    "leads anywhere": set_place("relative_path", "/etc/passwd"),
    "begins before the file": set_place("offset", -1),
    "ends behind the file": set_place("length", 10**15),
    "has a length that is text": set_place("length", "long"),
}


@case(*INDEXES)
def sharded_index(hands, what):
    path = hands.sharded / ".metadata"
    index = pickle.loads(path.read_bytes())
    INDEXES[what](index)
    path.write_bytes(pickle.dumps(index))
    resume(hands, hands.sharded)


def data_file(hands):
    return next(hands.sharded.glob("*.distcp"))


def link_instead(hands):
    target = data_file(hands).rename(hands.folder / "elsewhere")
    (hands.sharded / "__0_0.distcp").symlink_to(target)


FOLDERS = {
    "without an index": lambda hands: (hands.sharded / ".metadata").unlink(),
    "with an empty index": lambda hands: hands.write("sharded/.metadata", ""),
    "with a payload for an index": lambda hands: hands.write(
        "sharded/.metadata", pickle.dumps(hands.payload())
    ),
    "with a payload beside it": lambda hands: torch.save(
        {"callbacks": hands.payload(os.rmdir)}, hands.sharded / "meta.pt"
    ),
    "with a payload in an entry": lambda hands: save_sharded(
        {"state_dict": {}, "epoch": hands.payload(os.rmdir)}, hands.sharded
    ),
    "without its data": lambda hands: data_file(hands).unlink(),
    "with half of its data": lambda hands: os.truncate(data_file(hands), 5000),
    "with a link for its data": link_instead,
}


@case(*FOLDERS)
def sharded_folder(hands, what):
    FOLDERS[what](hands)
    resume(hands, hands.sharded)


# --- hyperparameter files -----------------------------------------------------------------

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)
)
TEXTS = {
    "empty": "",
    "a list": "- 1\n- 2\n",
    "unclosed": "a: [",
    "another encoding": "name: Käthe".encode("latin-1"),
    "binary": b"\x00\x01\xff",
    "a payload": "a: !!python/object/apply:shutil.rmtree [ran]",
    "a new object": "a: !!python/object/new:os.rmdir [ran]",
}


@case(*TEXTS, "missing", "a folder")
def hyperparameter_file_is(hands, what):
    path = hands.folder / "hparams.yaml"
    if what in TEXTS:
        hands.write(path.name, TEXTS[what])
    elif what == "a folder":
        path.mkdir()
    hands.prepared()
    read_hparams(path)


# --- the command line and configs of a project --------------------------------------------

EVIL = "import shutil\nshutil.rmtree('ran')\nclass Evil: pass\n"


def train(hands, *words):
    hands.write("evil.py", EVIL)
    hands.prepared()
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.logger=false"]
    CLI(OwnOptimizer, Data, args=[*words, *(quiet if words else ())])


@case(
    "",
    "fly",
    "fit --trainer.max_epochs=soon",
    "fit --trainer.max_epoch=3",
    "fit --trainer.max_epochs=-5",
    "fit --trainer.precision=7",
    "fit --trainer.devices=0",
    "fit --trainer.strategy=magic",
    "fit --trainer.callbacks+=evil.Evil",
    "fit --trainer.callbacks+=os.system",
    "fit --trainer.callbacks+=shutil.rmtree",
    "fit --optimizer=evil.Evil",
    "fit --model.activation=evil.Evil",
    "fit --model.width=1e400",
    "fit --data.folder=nowhere",
    "fit --ckpt_path=nowhere.ckpt",
    "fit --ckpt_path=last",
    "fit --config=nowhere.yaml",
    "fit --config=ran",
    "fit word",
    "test --ckpt_path=evil.py",
)
def train_py(hands, what):
    train(hands, *what.split())


CONFIGS = {
    **TEXTS,
    "a class of ours by evil": "trainer: {callbacks: [{class_path: evil.Evil}]}",
    "a call": "model: {activation: {class_path: shutil.rmtree,"
    " init_args: {path: ran}}}",
    "an import": "optimizer: {class_path: evil.Evil}",
    "two equal keys": "model: {width: 1}\nmodel: {width: 2}\n",
    "an unknown key": "modle: {width: 1}",
    "a wrong type": "model: {width: [1]}",
}


@case(*CONFIGS)
def config_with(hands, what):
    hands.write("c.yaml", CONFIGS[what])
    train(hands, "fit", "--config=c.yaml")


# --- data files ---------------------------------------------------------------------------

IDX = b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x02" + bytes(8)
LABELS = b"\x00\x00\x08\x01\x00\x00\x00\x02" + bytes(2)
DATA = {
    "nothing": {},
    "an empty class": {"cat/a.txt": b""},
    "no image": {"cat/a.png": b"no image", "dog/a.png": b"no image"},
    "an empty image": {"cat/a.png": b"", "dog/a.png": b""},
    "a payload": {"cat/a.png": pickle.dumps(Payload(shutil.rmtree, "ran"))},
    "images without labels": {"train-images": IDX},
    "fewer labels": {"train-images": IDX, "train-labels": LABELS[:-1]},
    "half an IDX file": {"train-images": IDX[:12], "train-labels": LABELS},
    "an IDX file that claims much": {
        "train-images": IDX[:4] + b"\xff" * 12 + bytes(8),
        "train-labels": LABELS,
    },
    "an IDX file of 255 dimensions": {
        "train-images": b"\x00\x00\x08\xff" + bytes(1020),
        "train-labels": LABELS,
    },
    "a broken gzip": {"train-images.gz": b"\x1f\x8b\x08", "train-labels": LABELS},
}


@case(*DATA)
def classifiers_data_is(hands, what):
    data = importlib.import_module("bad_input_digits.data")
    for name, content in DATA[what].items():
        hands.write(f"data/{name}", content)
    hands.prepared()
    list(data.Data(path=hands.folder / "data").train_dataloader())


# --- the generator: command line, answers, project state ----------------------------------


def scaffold(hands, *words):
    hands.prepared()
    sys.argv[:] = ["scaffold", *words]
    main()


@case(
    "new",
    "new nowhere",
    "new tiny --width many",
    "new tiny --nonsense 1",
    "new tiny --set width",
    "new tiny --set =3",
    "new tiny --set nonsense=3",
    "new tiny x --name class",
    "new tiny x --name 1abc",
    "new tiny x --name ../up",
    "new tiny x.ckpt",
    "new tiny sharded",
    "add callback",
    "remove callback x",
    "status",
    "update",
    "undo",
    "show nowhere",
    "frobnicate",
)
def scaffold_words(hands, what):
    scaffold(hands, *what.split())


ANSWERS = {
    **{kind: text for kind, text in TEXTS.items() if kind != "empty"},
    "an unknown question": "nonsense: 1",
    "a wrong type": "width: wide",
    "a list for a number": "width: [1]",
}


@case(*ANSWERS, "missing", "a folder")
def answers_file_is(hands, what):
    if what in ANSWERS:
        hands.write("a.yaml", ANSWERS[what])
    elif what == "a folder":
        (hands.folder / "a.yaml").mkdir()
    scaffold(hands, "new", "tiny", "made", "--answers", "a.yaml")


STATES = {
    "empty": ("project.toml", ""),
    "no TOML": ("project.toml", "format = "),
    "binary": ("project.toml", b"\x00\xff"),
    "of a newer generator": ("project.toml", "format = 99\ntask = 'tiny'\n"),
    "of an unknown task": ("project.toml", "format = 1\ntask = 'nowhere'\n"),
    "with an empty lock": ("lock/project.json", ""),
    "with a lock that is a list": ("lock/project.json", "[]"),
    "with a lock that leads out": (
        "lock/project.json",
        '{"files": {"../../x.ckpt": "' + "0" * 64 + ' 644"}}',
    ),
    "with a binary lock": ("lock/project.json", b"\xff\xfe"),
}


@case(*STATES)
def project_state(hands, what):
    apply_new(plan_new(catalog.task("tiny"), hands.folder / "made", "made", {}))
    os.chdir(hands.folder / "made")
    name, content = STATES[what]
    hands.write(f"made/.scaffold/{name}", content)
    scaffold(hands, "status")


# --- the tests ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run's checkpoint, saved in mid-epoch: its content, and as a sharded folder."""
    root = tmp_path_factory.mktemp("saved")
    trainer = fit(root, max_steps=5, limit_train_batches=6)
    trainer.save_checkpoint(root / "x.ckpt")
    content = read_checkpoint(root / "x.ckpt")
    task = catalog.task("classifier")
    tree.write(render(task, task.answers(package="bad_input_digits")), root / "project")
    sys.path.append(str(root / "project"))
    save_sharded({**content, "loops": {}}, root / "sharded")
    return content, root / "sharded"


def save_sharded(content, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(content, checkpoint_id=folder)


@pytest.fixture
def hands(saved, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(source, "ROOT", HOUSE)
    monkeypatch.setattr(sys, "argv", [str(folder / "train.py")])
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    return Hands(folder, *saved)


def listing(folder):
    return sorted(
        (str(path), path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts and not path.is_dir()
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(CASES))
def test_bad_input_ends_in_a_sentence(name, hands, capsys):
    before = None

    def prepared():
        nonlocal before
        before = listing(hands.folder)

    hands.prepared = prepared
    with pytest.raises((UserError, SystemExit)) as end:
        CASES[name](hands)
    said = capsys.readouterr().err
    if isinstance(end.value, SystemExit):
        assert end.value.code not in (0, None), said
    else:
        said = str(end.value)
    assert "Traceback" not in said
    assert re.search(r"\w+\W+\w+\W+\w+", said), said
    assert hands.ran.is_dir(), "a payload ran"
    assert before is not None, "the case did not say when it was prepared"
    assert listing(hands.folder) == before, "something was written"


def test_there_are_at_least_a_hundred():
    assert len(CASES) >= 100
