import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold_runtime.cli import CLI
from scaffold_runtime.errors import UserError
from scaffold_runtime.loggers import TensorBoardLogger
from tests.runtime.cli.project import Data, Model

STOPPING = "scaffold_runtime.callbacks.EarlyStopping"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--trainer.max_epoch=3"],
            "--trainer.max_epoch is no option: did you mean --trainer.max_epochs?",
        ),
        (
            ["--model.widht", "3"],
            "--model.widht is no option: did you mean --model.width?",
        ),
        (["--nonsense=1"], "--nonsense is no option."),
        (["word"], "word is not expected: options look like --trainer.max_epochs 3."),
        (["--model.width=many"], "model.width must be int, and it is 'many'."),
        (
            ["--trainer.max_epochs=soon"],
            "trainer.max_epochs must be int or null, and it is 'soon'.",
        ),
        (
            ["--trainer.on_nonfinite=maybe"],
            "trainer.on_nonfinite must be 'stop' or 'skip', and it is 'maybe'.",
        ),
        (["--trainer.max_epochs"], "--trainer.max_epochs needs a value."),
        (
            ["--trainer=5"],
            "trainer takes keys or the name of a config file, not '5'.",
        ),
        (["--trainer.callbacks+=EarlyStopping"], f"{STOPPING} needs monitor: give it"),
        (
            ["--trainer.callbacks+=EarlyStoping"],
            "EarlyStoping in trainer.callbacks is no class that is known: did you mean"
            " EarlyStopping?",
        ),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.patience=long"],
            f"patience of {STOPPING} must be int, and it is 'long'.",
        ),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitr=x"],
            f"{STOPPING} has no argument monitr: did you mean monitor?",
        ),
        (
            ["--trainer.logger=scaffold_runtime.loggers.CSVLoger"],
            "scaffold_runtime.loggers.CSVLoger cannot be imported, module"
            " 'scaffold_runtime.loggers' has no attribute 'CSVLoger': did you mean"
            " CSVLogger?",
        ),
        (
            ["--trainer.callbacks+=torch.optim.SGD"],
            "trainer.callbacks takes a Callback, and torch.optim.SGD is none.",
        ),
        (["--optimizer=Adamm"], "did you mean Adam?"),
        (
            ["--optimizer=Adam", "--optimizer.lrr=1"],
            "torch.optim.Adam has no argument lrr: did you mean lr?",
        ),
    ],
)
def test_words_that_cannot_be(words, sentence, refusal):
    assert sentence in refusal(*words)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            "model: {widht: 3}",
            "model.widht is no key of the config: did you mean model.width?",
        ),
        ("trainr: {max_epochs: 3}", "did you mean trainer.max_epochs?"),
        ("model: {width: 1.5}", "c.yaml: model.width must be int, and it is '1.5'."),
        ("config: false", "the config cannot be read"),
        ("", "c.yaml: the config holds no keys"),
        ("- 1\n- 2", "c.yaml: the config holds no keys"),
        ("model: [", "c.yaml: the config cannot be read"),
        ("\tmodel: 3", "c.yaml: the config cannot be read"),
        (
            "model:\n  width: 1\n  width: 2\n",
            "c.yaml: the config cannot be read, the key width stands in line 2 and again"
            " in line 3: keep one of them.",
        ),
        (
            f"trainer: {{callbacks: [{{class_path: {STOPPING}, init_args: {{a: 1}}}}]}}",
            f"c.yaml: {STOPPING} has no argument a.",
        ),
    ],
)
def test_configs_that_cannot_be(config, sentence, refusal):
    Path("c.yaml").write_text(config)
    assert sentence in refusal("--config=c.yaml")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00m", b"model: \x00", b"\x80abc: 1"], ids=repr
)
def test_configs_that_are_no_text(content, refusal):
    Path("c.yaml").write_bytes(content)
    assert refusal("--config=c.yaml").startswith("c.yaml: the config cannot be read")


def test_configs_that_are_not_there(refusal, folder):
    assert refusal("--config=c.yaml") == f"there is no config file {folder}/c.yaml."
    assert "is no config file that can be read" in refusal(f"--config={folder}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"model: {width: many}", "model.width must be int, and it is 'many'."),
        (b"model: [", "the config cannot be read"),
        (b"\xff\xfe", "utf-8"),
        (b"- 1", "the config holds no keys"),
    ],
)
def test_a_bad_default_config_is_named(content, sentence, refusal, folder):
    (folder / "configs").mkdir()
    (folder / "configs" / "default.yaml").write_bytes(content)
    said = refusal()
    assert "default.yaml: " in said
    assert sentence in said


def test_a_required_argument_is_named(refusal):
    said = refusal(model=needs_width)
    assert (
        said
        == "model.width is required: give --model.width, or write it into the config."
    )


def test_a_type_of_several_parts_is_one_type(refusal):
    said = refusal("--model.shape=3", model=has_shape)
    assert said == "model.shape must be tuple[int, int] or null, and it is '3'."


def has_shape(shape: tuple[int, int] | None = None) -> Model:
    return Model()


def needs_width(width: int) -> Model:
    return Model(width)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what to do: fit, validate, test, predict."),
        (["train"], "train is no command: choose fit, validate, test, predict."),
        (["fit", "--model.widht=3"], "--model.widht is no option: did you mean"),
        (
            ["--model.width=3", "fit"],
            "--model.width is no option here: it belongs after a command.",
        ),
    ],
)
def test_commands_that_cannot_be(words, sentence, capsys):
    with pytest.raises(SystemExit) as end:
        CLI(Model, Data, args=words)
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


def nests(leaves):
    names = st.sampled_from(
        ["trainer", "model", "data", "callbacks", "class_path", "init_args", "width"]
        + ["logger", "optimizer", "seed_everything", "config", "fit", "__path__", "a b"]
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)
        ),
        max_leaves=12,
    )


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "EarlyStopping",
            "os.system",
            "builtins.exec",
            "subprocess.Popen",
            "torch.load",
        ]
        + ["lightning.pytorch.callbacks.Timer", "torch.optim.SGD", "..", "/dev/null"]
    ),
)


@pytest.mark.parametrize("examples", [60, pytest.param(1000, marks=pytest.mark.full)])
def test_no_config_brings_a_traceback(examples, folder, capsys):
    """Whatever a config holds, it is accepted, or refused with one sentence and code 2."""

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.one_of(nests(leaves), st.text(), st.binary()))
    def check(content):
        import yaml

        if isinstance(content, str):
            raw = content.encode(errors="surrogatepass")
        elif isinstance(content, bytes):
            raw = content
        else:
            raw = yaml.safe_dump(content).encode()
        Path("c.yaml").write_bytes(raw)
        capsys.readouterr()
        try:
            parser_only("--config=c.yaml")
        except SystemExit as end:
            said = capsys.readouterr().err
            assert end.code == 2
            assert said.count("\n") == 1, said

    check()


def parser_only(*words):
    """Read the words; make nothing of them."""

    class Reader(CLI):
        def instantiate_classes(self):
            pass

    torch.manual_seed(0)
    return Reader(
        Model, Data, args=list(words), run=False, seed_everything_default=False
    )


def test_what_an_object_within_a_list_refuses_is_its_own_sentence(parse, monkeypatch):
    """jsonargparse has a report of every type that the list might have been."""
    monkeypatch.setattr(TensorBoardLogger, "package", "no_such_package")
    loggers = [{"class_path": "CSVLogger", "init_args": {"save_dir": "."}}]
    loggers.append({"class_path": "TensorBoardLogger", "init_args": {"save_dir": "."}})
    Path("c.yaml").write_text(json.dumps({"trainer": {"logger": loggers}}))
    with pytest.raises(UserError, match=r"^TensorBoardLogger needs the package"):
        parse("--config=c.yaml")


def test_a_seed_out_of_range_is_refused(refusal):
    assert "must be from 0 to" in refusal("--seed_everything=-1")
