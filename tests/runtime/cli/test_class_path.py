import contextlib
import importlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from scaffold_runtime.cli.class_path import translate, translate_word
from scaffold_runtime.errors import MisconfigurationError, NotProvidedError
from tests.runtime.cli.project import Activation, Model


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            "lightning.pytorch.callbacks.EarlyStopping",
            "scaffold_runtime.callbacks.EarlyStopping",
        ),
        (
            "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
            "scaffold_runtime.callbacks.EarlyStopping",
        ),
        ("lightning.pytorch.loggers.CSVLogger", "scaffold_runtime.loggers.CSVLogger"),
        (
            "lightning.pytorch.demos.boring_classes.DemoModel",
            "scaffold_runtime.demos.DemoModel",
        ),
        (
            "lightning.pytorch.strategies.DDPStrategy",
            "scaffold_runtime.strategies.DDPStrategy",
        ),
        (
            "lightning.pytorch.cli.ReduceLROnPlateau",
            "scaffold_runtime.cli.ReduceLROnPlateau",
        ),
        ("lightning.pytorch.callbacks.Nowhere", "lightning.pytorch.callbacks.Nowhere"),
        ("lightning_bolts.callbacks.EarlyStopping",) * 2,
        ("struck by lightning.pytorch.Trainer",) * 2,
    ],
)
def test_lightning_s_classes_are_ours_by_name(theirs, ours):
    assert translate(theirs) == ours
    assert translate({"a": [{"class_path": theirs}]}) == {"a": [{"class_path": ours}]}
    assert translate_word(f"--trainer.logger={theirs}") == f"--trainer.logger={ours}"
    assert translate_word(theirs) == ours


def test_a_class_without_counterpart_is_refused_by_name(refusal):
    path = "lightning.pytorch.callbacks.Nowhere"
    assert f"{path} has no counterpart" in refusal(f"--trainer.callbacks+={path}")
    known = "lightning.pytorch.callbacks.DeviceStatsMonitor"
    with pytest.raises(NotProvidedError, match="use ThroughputMonitor"):
        refusal(f"--trainer.callbacks+={known}")


@pytest.fixture
def stranger(folder, monkeypatch):
    """A module beside the script that must not be imported."""
    (folder / "stranger.py").write_text(
        "import pathlib\n"
        "import scaffold_runtime as L\n"
        "pathlib.Path('imported').touch()\n"
        "class Stranger(L.Callback):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    yield folder / "imported"
    sys.modules.pop("stranger", None)


@pytest.mark.parametrize("place", ["trainer.callbacks", "trainer.logger", "optimizer"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_strange_class_is_refused_before_it_is_imported(
    place, nested, refusal, stranger, folder
):
    spec = {"class_path": "stranger.Stranger"}
    config = [spec] if place == "trainer.callbacks" else spec
    for key in reversed(place.split(".")):
        config = {key: config}
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    words = ["--config=c.yaml"] if nested else [f"--{place}=stranger.Stranger"]
    said = refusal(*words)
    assert "a config may not name stranger.Stranger" in said
    assert "allow=['stranger']" in said
    assert not stranger.exists()


class Untyped(Model):
    """Has an argument that may be anything, and one that may be any function."""

    def __init__(self, anything=None, function: Callable[..., int] | None = None):
        super().__init__()
        self.anything, self.function = anything, function

    def configure_optimizers(self):
        return None


@pytest.mark.parametrize(
    "word",
    [
        "--trainer.callbacks.help=stranger.Stranger",
        "--optimizer.help=stranger.Stranger",
        "--trainer.callbacks=[stranger.Stranger]",
        "--trainer.callbacks={class_path: stranger.Stranger}",
        "--trainer.logger+=stranger.Stranger",
        "--trainer.strategy=stranger.Stranger",
        "--trainer.strategy={class_path: stranger.Stranger}",
        "--model={class_path: stranger.Stranger}",
        "--model.function=stranger.Stranger",
        "--model.function={class_path: stranger.Stranger}",
        "--model.anything=stranger.Stranger",
        "--model.anything={class_path: stranger.Stranger}",
        "--model.anything=[{class_path: stranger.Stranger, init_args: {}}]",
        "--lr_scheduler={class_path: stranger.Stranger}",
        "--data=stranger.Stranger",
        "--config={model: {class_path: stranger.Stranger}}",
        "--seed_everything={class_path: stranger.Stranger}",
    ],
)
def test_no_word_imports_a_strange_class(word, parse, stranger):
    with contextlib.suppress(SystemExit, MisconfigurationError):
        parse(word, model=Untyped)
    assert not stranger.exists()


@pytest.mark.parametrize("nest", ["{}", "[{}]", "{{inner: {}}}"])
def test_what_may_be_anything_stays_as_it_was_written(nest, parse):
    spec = "{class_path: torch.nn.Softplus, init_args: {beta: 2.0, threshold: 1.0}}"
    cli = parse(f"--model.anything={nest.format(spec)}", model=Untyped)
    assert cli.model.anything == yaml.safe_load(nest.format(spec))


def test_the_script_allows_more(parse, stranger):
    cli = parse("--trainer.callbacks+=stranger.Stranger", allow=["stranger"])
    assert stranger.exists()
    assert "Stranger" in {type(c).__name__ for c in cli.trainer.callbacks}


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "importlib.import_module",
        "torch.os.system",
        "torch.serialization.os.system",
        "scaffold_runtime.cli.command_line.sys.exit",
        "jsonargparse.set_parsing_settings",
    ],
)
def test_the_standard_library_is_refused_under_any_name(path, refusal):
    said = refusal(f"--model.activation={path}")
    assert "may not name" in said


@pytest.mark.parametrize(
    "path",
    [
        "torch.hub.load",
        "torch.load",
        "torch.jit.load",
        "torch.ops.load_library",
        "torch.multiprocessing.Process",
        "torch.distributed.run.main",
        "torch.utils.cpp_extension.load",
        "torch.utils.model_dump.__main__.main",
        "torch._inductor.codecache.CppCodeCache",
        "torch.nn.functional.importlib.import_module",
        "tests.runtime.cli.project.torch.load",
    ],
)
def test_what_runs_code_in_torch_is_refused_under_any_name(path, refusal):
    words = [f"--model.function={path}", f"--model.function={{class_path: {path}}}"]
    assert all("may not name" in refusal(word, model=Untyped) for word in words)


class RunsWhenLoaded:
    def __reduce__(self):
        return open, ("ran", "w")


def test_no_config_calls_a_function_that_is_not_the_project_s(refusal, folder):
    """What would hand over a function must not become a call with a config's arguments."""
    Path("payload.pt").write_bytes(pickle.dumps(RunsWhenLoaded()))
    for call in (
        "{class_path: torch.load, init_args: {f: payload.pt, weights_only: false}}",
        "{class_path: torch.save, init_args: {obj: 1, f: ran}}",
        "{class_path: torch.from_file, init_args: {filename: ran, shared: true}}",
        "{class_path: torch.nn.init.zeros_}",
        "{class_path: torch.set_default_dtype, init_args: {d: torch.half}}",
        "{class_path: scaffold_runtime.seed_everything, init_args: {seed: 1}}",
    ):
        for argument in ("function", "activation"):
            refusal(f"--model.{argument}={call}", model=Untyped)
    assert [path.name for path in folder.iterdir()] == ["payload.pt"]


def make_activation(scale: float = 2.0) -> Activation:
    return Activation(scale)


def test_functions_of_torch_are_handed_over_and_the_project_s_own_make_objects(parse):
    assert (
        parse("--model.function=torch.relu", model=Untyped).model.function is torch.relu
    )
    own = f"{{class_path: {__name__}.make_activation, init_args: {{scale: 3}}}}"
    assert parse(f"--model.activation={own}").model.activation.scale == 3


@pytest.mark.parametrize(
    "path",
    [
        ".os.system",
        "..stranger.Stranger",
        "stranger..Stranger",
        "stranger/Stranger.py",
        "./stranger.Stranger",
        "torch.nn.Tanh;stranger.Stranger",
        "torch\u2024nn.Tanh",
        "\uff54orch.nn.Tanh",  # a fullwidth t, which Python's own parser reads as t
        "stranger.Stranger\u200b",
        "torch nn.Tanh",
        "",
    ],
)
def test_tricks_with_a_path_import_nothing(path, refusal, stranger):
    words = [f"--model.activation={path}", f"--trainer.callbacks+={path}"]
    for word in words:
        refusal(word)
    assert not stranger.exists()


@pytest.fixture
def imported_by_the_script(folder, monkeypatch):
    """A package that the script has imported, by name and as a module."""
    (folder / "elsewhere.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(str(folder))
    module = importlib.import_module("elsewhere")
    monkeypatch.setattr(sys.modules["__main__"], "elsewhere", module, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "Thing", module.Thing, raising=False)
    monkeypatch.setattr(sys.modules[__name__], "Thing", module.Thing, raising=False)
    yield
    del sys.modules["elsewhere"]


@pytest.mark.parametrize(
    "path", ["elsewhere.Thing", "__main__.Thing", __name__ + ".Thing"]
)
def test_what_the_script_has_imported_is_not_a_config_s(
    path, refusal, imported_by_the_script
):
    assert "may not name elsewhere.Thing" in refusal(
        f"--model.function={path}", model=Untyped
    )


def test_torch_and_the_project_are_allowed(parse):
    assert parse("--model.activation=torch.nn.Tanh").model.activation is not None
    own = "tests.runtime.cli.project.Activation"
    assert parse(f"--model.activation={own}").model.activation is not None
