import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch.optim.lr_scheduler import ExponentialLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L
from scaffold_runtime.callbacks import EarlyStopping, LearningRateMonitor
from scaffold_runtime.cli import (
    CLI,
    LightningCLI,
    LRSchedulerCallable,
    OptimizerCallable,
    ReduceLROnPlateau,
    SaveConfigCallback,
    instantiate_class,
)
from scaffold_runtime.errors import DataError, MisconfigurationError
from scaffold_runtime.loggers import CSVLogger
from scaffold_runtime.strategies import DDPStrategy
from tests.runtime.cli.conftest import QUIET
from tests.runtime.cli.project import Activation, Data, Model, Note, OwnOptimizer


def test_lightning_knows_it_under_its_name():
    assert LightningCLI is CLI


def test_words_reach_model_data_and_trainer(parse):
    cli = parse("--model.width=8", "--data.batch_size=2", "--trainer.max_epochs=3")
    assert cli.model.layer.out_features == 8
    assert cli.datamodule.batch_size == 2
    assert cli.trainer.max_epochs == 3
    assert cli.subcommand is None


def test_a_later_config_and_words_win(parse):
    Path("a.yaml").write_text("model: {width: 2, learning_rate: 1e-3}\n")
    Path("b.yaml").write_text("model: {width: 3}\n")
    cli = parse("--config=a.yaml", "--config=b.yaml", "--model.layers=[1, 2]")
    assert dict(cli.model.hparams) == {
        "width": 3,
        "learning_rate": 1e-3,
        "layers": [1, 2],
        "api_key": "none",
    }


def test_the_default_config_lies_beside_the_script(parse, folder):
    (folder / "configs").mkdir()
    (folder / "configs" / "default.yaml").write_text("model: {width: 6}\n")
    assert parse().model.layer.out_features == 6
    assert parse("--model.width=7").model.layer.out_features == 7


def test_the_default_config_may_lie_in_the_current_folder(parse, folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/elsewhere/train.py"])
    (folder / "configs").mkdir()
    (folder / "configs" / "default.yaml").write_text("model: {width: 6}\n")
    assert parse().model.layer.out_features == 6


def test_the_script_can_name_its_default_config(parse, folder):
    (folder / "base.yaml").write_text("model: {width: 5}\n")
    assert parse(default_config="base.yaml").model.layer.out_features == 5
    with pytest.raises(MisconfigurationError, match="no such file"):
        parse(default_config="nowhere.yaml")


@pytest.mark.parametrize("shared", [False, True])
def test_only_what_the_words_may_mean_gets_arguments(shared, folder):
    """A config before the command may hold sections of all of them."""
    asked = []

    class Counting(CLI):
        def add_arguments_to_parser(self, parser):
            asked.append(parser)

    sections = {name: {"model": {"width": 3}} for name in ("fit", "test")}
    (folder / "all.yaml").write_text(yaml.safe_dump(sections))
    before = ["--config=all.yaml"] if shared else []
    words = [*before, "fit", *QUIET, "--trainer.fast_dev_run=true"]
    cli = Counting(OwnOptimizer, Data, args=words)
    assert cli.model.layer.out_features == (3 if shared else 4)
    assert len(asked) == (4 if shared else 1)


def test_every_command_calls_the_trainer(command):
    trained = command("fit")
    assert trained.trainer.global_step == 4
    assert trained.subcommand == "fit"
    checkpoint = trained.trainer.checkpoint_callback.best_model_path
    for name, metric in (("validate", "val_loss"), ("test", "test_loss")):
        metrics = command(name, f"--ckpt_path={checkpoint}").trainer.callback_metrics
        assert metrics.keys() == {metric}
    predicted = command("predict", "--return_predictions=false")
    assert predicted.trainer.state.fn == "predict"


def test_a_command_takes_its_method_s_arguments(command):
    path = command("fit").trainer.checkpoint_callback.best_model_path
    resumed = command("fit", f"--ckpt_path={path}", "--trainer.max_epochs=3")
    assert resumed.trainer.global_step == 12
    assert resumed.trainer.ckpt_path == path


def test_null_is_no_path(parse, command):
    checkpoint = (
        "--trainer.callbacks=ModelCheckpoint",
        "--trainer.callbacks.dirpath=null",
    )
    made = parse("--trainer.default_root_dir=null", *checkpoint).trainer
    assert made.default_root_dir == str(Path.cwd())
    assert made.checkpoint_callback.dirpath is None
    assert command("fit", "--ckpt_path=null").trainer.ckpt_path is None


def test_defaults_may_name_lightnings_classes(parse):
    spec = {"class_path": "lightning.pytorch.loggers.CSVLogger"}
    spec["init_args"] = {"save_dir": "logs"}
    made = parse(trainer_defaults={"logger": [spec]}).trainer
    assert isinstance(made.logger, CSVLogger)
    assert made.logger.save_dir == "logs"


def test_a_checkpoint_says_how_its_model_was_made(command):
    given = ["--model.width=8", "--model.layers=[1, 2]", "--model.api_key=mine"]
    path = command("fit", *given).trainer.checkpoint_callback.best_model_path
    made = dict(command("test", f"--ckpt_path={path}").model.hparams)
    assert (made["width"], made["layers"], made["api_key"]) == (8, [1, 2], "mine")
    words = f"--ckpt_path={path}", "--model.api_key=other"
    made = command("predict", *words)
    assert made.model.layer.out_features == 8
    assert made.config.predict.model.api_key == "other"
    chosen = command("test", "--model=OwnOptimizer", words[0], subclass_mode_model=True)
    assert chosen.model.hparams.width == 8


def test_a_checkpoint_does_not_choose_a_class(command, tmp_path):
    """A name in it would be imported, were it taken for one of the config."""
    path = command("fit").trainer.checkpoint_callback.best_model_path
    content = torch.load(path)
    for value in ("torch.nn.ReLU", {"class_path": "torch.nn.ReLU"}):
        content["hyper_parameters"]["activation"] = value
        torch.save(content, tmp_path / "changed.ckpt")
        made = command("test", f"--ckpt_path={tmp_path / 'changed.ckpt'}")
        assert made.model.activation is None


def test_hooks_and_commands_can_be_overridden(command):
    calls = []

    class Own(CLI):
        def before_instantiate_classes(self):
            calls.append(("classes", hasattr(self, "model")))

        def before_fit(self):
            calls.append(("before", self.trainer.global_step))

        def after_fit(self):
            calls.append(("after", self.trainer.global_step))

        def validate(self, model, **arguments):
            calls.append(("validate", sorted(arguments)))

    command("fit", cli=Own)
    command("validate", cli=Own)
    assert calls == [
        ("classes", False),
        ("before", 0),
        ("after", 4),
        ("classes", False),
        ("validate", ["ckpt_path", "datamodule", "verbose", "weights_only"]),
    ]


def test_callbacks_are_added_by_short_name(parse):
    cli = parse(
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.monitor=val_loss",
        "--trainer.callbacks+=LearningRateMonitor",
        "--trainer.callbacks.logging_interval=step",
    )
    assert cli.trainer.early_stopping_callback.monitor == "val_loss"
    monitors = [c for c in cli.trainer.callbacks if isinstance(c, LearningRateMonitor)]
    assert [monitor.logging_interval for monitor in monitors] == ["step"]


def test_strategy_and_logger_are_chosen_by_short_name(parse):
    cli = parse(
        "--trainer.strategy=DDPStrategy",
        "--trainer.logger=CSVLogger",
        "--trainer.logger.save_dir=logs",
    )
    assert isinstance(cli.trainer.strategy, DDPStrategy)
    assert isinstance(cli.trainer.logger, CSVLogger)
    assert cli.trainer.logger.save_dir == "logs"


def test_a_config_may_hold_the_arguments_of_a_loggers_own_package(parse):
    init = {"entity": "us", "tags": ["a"], "offline": True}
    logger = {"class_path": "WandbLogger", "init_args": init}
    made = parse(f"--trainer.logger={json.dumps(logger)}").config_init.trainer.logger
    assert made._wandb_init["entity"] == "us" and made._wandb_init["tags"] == ["a"]


def test_lightnings_last_argument_is_taken(parse):
    cli = parse(load_from_checkpoint_support=False, parser_kwargs={"env_prefix": "X"})
    assert cli.parser_kwargs == {"env_prefix": "X"}


def test_a_class_path_takes_init_args(parse):
    cli = parse(
        "--model.activation=tests.runtime.cli.project.Activation",
        "--model.activation.scale=3",
    )
    assert isinstance(cli.model.activation, Activation)
    assert cli.model.activation.scale == 3.0


def test_subclass_mode_lets_the_user_choose(parse):
    cli = parse(
        "--model=OwnOptimizer",
        "--model.width=9",
        "--data=Data",
        "--data.batch_size=2",
        model=Model,
        subclass_mode_model=True,
        subclass_mode_data=True,
    )
    assert type(cli.model) is OwnOptimizer
    assert cli.model.layer.out_features == 9
    assert cli.datamodule.batch_size == 2


def test_a_link_finds_the_arguments_of_a_class_that_the_user_chooses(parse):
    class Linked(CLI):
        def add_arguments_to_parser(self, parser):
            parser.link_arguments(
                "data.batch_size", "model.width", apply_on="instantiate"
            )

    cli = parse(
        "--model=OwnOptimizer",
        "--data.batch_size=5",
        cli=Linked,
        subclass_mode_model=True,
    )
    assert cli.model.layer.out_features == 5


def test_no_class_lets_the_user_choose_any(parse):
    chosen = "tests.runtime.cli.project"
    cli = parse(f"--model={chosen}.Model", model=None, data=None, allow=["tests"])
    assert type(cli.model) is Model
    assert cli.datamodule is None


def make_model(width: int = 3) -> Model:
    return OwnOptimizer(width)


def test_functions_can_stand_for_classes(parse):
    def make_trainer(max_epochs: int = 7) -> L.Trainer:
        return L.Trainer(max_epochs=max_epochs, logger=False)

    assert parse(model=make_model).model.layer.out_features == 3
    with pytest.warns(UserWarning, match="no argument callbacks"):
        assert parse(trainer_class=make_trainer).trainer.max_epochs == 7


def test_trainer_defaults_and_their_callbacks(parse):
    defaults = {"max_epochs": 5, "callbacks": Note("always there")}
    words = ["--trainer.callbacks+=Timer"]
    cli = parse(*words, trainer_defaults=defaults)
    assert cli.trainer.max_epochs == 5
    kinds = {type(callback).__name__ for callback in cli.trainer.callbacks}
    assert {"Note", "Timer"} <= kinds
    assert "Note" not in str(cli.config)


def test_arguments_can_be_linked(command):
    class Linked(CLI):
        def add_arguments_to_parser(self, parser):
            parser.link_arguments("data.width", "model.width", apply_on="instantiate")

    cli = command("fit", "--data.batch_size=3", cli=Linked)
    assert cli.model.layer.out_features == 6
    saved = yaml.safe_load(Path(cli.trainer.log_dir, "config.yaml").read_text())
    assert "width" not in saved["model"]


def test_a_callback_can_have_a_key_of_its_own(parse):
    class WithNote(CLI):
        def add_arguments_to_parser(self, parser):
            parser.add_lightning_class_args(Note, "note")
            parser.set_defaults({"note.text": "a default"})

    for words, text in (([], "a default"), (["--note.text=given"], "given")):
        cli = parse(*words, cli=WithNote)
        notes = [c for c in cli.trainer.callbacks if isinstance(c, Note)]
        assert [note.text for note in notes] == [text]


class Worded(OwnOptimizer):
    """Its argument has the name of a dict's method."""

    def __init__(self, items: int = 3):
        super().__init__()
        self.got = items


@pytest.mark.parametrize("chosen", [False, True])
def test_an_argument_may_be_called_as_a_method_of_a_dict_is(chosen, parse):
    name = "--model.init_args.items" if chosen else "--model.items"
    words = [f"--model={__name__}.Worded"] * chosen + [f"{name}=5"]
    model = None if chosen else Worded
    assert parse(*words, model=model, allow=["tests"]).model.got == 5


def test_what_is_no_part_of_a_run_cannot_be_added(parse):
    class Wrong(CLI):
        def add_arguments_to_parser(self, parser):
            parser.add_lightning_class_args(dict, "wrong")

    with pytest.raises(MisconfigurationError, match="Callback"):
        parse(cli=Wrong)


@pytest.mark.parametrize(
    ("default", "words", "seed"),
    [
        (True, [], 0),
        (7, [], 7),
        (7, ["--seed_everything=8"], 8),
        (False, [], None),
        (True, ["--seed_everything=false"], None),
    ],
)
def test_the_seed(default, words, seed, parse, monkeypatch):
    cli = parse(*words, seed_everything_default=default)
    weights = cli.model.layer.weight
    assert cli.config["seed_everything"] == (False if seed is None else seed)
    if seed is not None:
        torch.manual_seed(seed)
        assert torch.equal(weights, OwnOptimizer().layer.weight)


def test_the_environment_gives_values(monkeypatch, command, parse):
    monkeypatch.setenv("PL_TRAINER__MAX_EPOCHS", "4")
    monkeypatch.setenv("PL_FIT__MODEL__WIDTH", "5")
    settings = {"default_env": True}
    assert parse(parser_kwargs=settings).trainer.max_epochs == 4
    assert parse().trainer.max_epochs is None
    assert command("fit", parser_kwargs=settings).model.layer.out_features == 5


def test_parser_kwargs_may_differ_by_command(command):
    Path("mine.yaml").write_text("model: {width: 2}\n")
    cli = command("fit", parser_kwargs={"fit": {"default_config_files": ["mine.yaml"]}})
    assert cli.model.layer.out_features == 2


def test_args_may_be_a_config():
    config = {"model": {"width": 2}, "trainer": {"logger": False, "max_epochs": 1}}
    cli = CLI(OwnOptimizer, Data, args=config, run=False)
    assert cli.model.layer.out_features == 2


def test_a_config_may_hold_a_part_for_each_command(command):
    Path("all.yaml").write_text("fit: {model: {width: 2}}\ntest: {model: {width: 3}}\n")
    for name, width in (("fit", 2), ("test", 3)):
        cli = CLI(OwnOptimizer, Data, args=["--config=all.yaml", name, *QUIET])
        assert cli.model.layer.out_features == width


def test_the_config_that_is_printed_is_accepted_back(parse, capsys):
    words = ["--model.width=6", "--trainer.callbacks+=Timer", "--optimizer=SGD"]
    with pytest.raises(SystemExit) as end:
        parse(*words, "--print_config")
    assert end.value.code == 0
    Path("printed.yaml").write_text(capsys.readouterr().out)
    read, given = parse("--config=printed.yaml").config, parse(*words).config
    read.pop("config"), given.pop("config")
    assert read == given


def test_the_environment_may_name_a_config(monkeypatch, parse):
    Path("mine.yaml").write_text("model: {width: 7}\n")
    monkeypatch.setenv("PL_CONFIG", "mine.yaml")
    cli = parse(parser_kwargs={"default_env": True})
    assert cli.model.layer.out_features == 7


def test_arguments_of_the_script_s_own(command):
    """As documented: a notification after the fit, and a computed link."""
    told = []

    class Own(CLI):
        def add_arguments_to_parser(self, parser):
            parser.add_argument("--notification_email", default="will@email.com")
            parser.link_arguments(
                "data.batch_size", "model.width", compute_fn=lambda size: 3 * size
            )

        def after_fit(self):
            told.append(self.config["fit"]["notification_email"])

    cli = command("fit", "--notification_email=me@here", "--data.batch_size=2", cli=Own)
    assert told == ["me@here"]
    assert cli.model.layer.out_features == 6


def test_the_config_can_be_logged(command):
    """As documented: a callback that hands the config to the loggers."""
    logged = []

    class LogConfig(SaveConfigCallback):
        def save_config(self, trainer, pl_module, stage):
            logged.append(self.parser.dump(self.config, skip_none=False))

    command("fit", save_config_callback=LogConfig)
    assert yaml.safe_load(logged[0])["model"]["width"] == 4


# --- optimizers ---------------------------------------------------------------------------


def optimizer_of(cli):
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    return cli.trainer.optimizers[0], cli.trainer.lr_scheduler_configs


def test_an_optimizer_is_chosen_on_the_command_line(command):
    cli = command(
        "fit",
        "--optimizer=AdamW",
        "--optimizer.lr=0.01",
        "--lr_scheduler=StepLR",
        "--lr_scheduler.step_size=2",
        model=Model,
    )
    assert type(cli.trainer.optimizers[0]) is torch.optim.AdamW
    assert cli.trainer.optimizers[0].defaults["lr"] == 0.01
    assert cli.trainer.lr_scheduler_configs[0].scheduler.step_size == 2


def test_a_plateau_scheduler_names_its_metric(command):
    cli = command(
        "fit",
        "--optimizer=SGD",
        "--optimizer.lr=0.1",
        "--lr_scheduler=scaffold_runtime.cli.ReduceLROnPlateau",
        "--lr_scheduler.monitor=val_loss",
        model=Model,
    )
    (config,) = cli.trainer.lr_scheduler_configs
    assert isinstance(config.scheduler, ReduceLROnPlateau)
    assert config.monitor == "val_loss"


def test_the_chosen_optimizer_replaces_the_module_s(command):
    words = ["--optimizer=Adam", "--optimizer.lr=0.5"]
    with pytest.warns(UserWarning, match="configure_optimizers"):
        cli = command("fit", *words, model=OwnOptimizer)
    assert type(cli.trainer.optimizers[0]) is torch.optim.Adam


def test_one_optimizer_class_can_be_fixed(command):
    class Fixed(CLI):
        def add_arguments_to_parser(self, parser):
            parser.add_optimizer_args(torch.optim.SGD)
            parser.add_lr_scheduler_args(torch.optim.lr_scheduler.ExponentialLR)
            parser.set_defaults({"optimizer.lr": 0.3, "lr_scheduler.gamma": 0.5})

    cli = command("fit", cli=Fixed, model=Model)
    assert type(cli.trainer.optimizers[0]) is torch.optim.SGD
    assert cli.trainer.lr_scheduler_configs[0].scheduler.gamma == 0.5


def test_a_command_line_can_change_what_optimizers_become(command):
    class Stepwise(CLI):
        @staticmethod
        def configure_optimizers(lightning_module, optimizer, lr_scheduler=None):
            scheduler = {"scheduler": lr_scheduler, "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": scheduler}

    words = ["--optimizer=SGD", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=1"]
    cli = command("fit", *words, cli=Stepwise, model=Model)
    assert cli.trainer.lr_scheduler_configs[0].interval == "step"


class TakesOptimizer(Model):
    """Is given its optimizer's class path and arguments."""

    def __init__(self, first: dict | None = None):
        super().__init__()
        self.first = first


def test_an_optimizer_can_be_linked_to_an_argument(parse):
    class Linked(CLI):
        def add_arguments_to_parser(self, parser):
            parser.add_optimizer_args(torch.optim.SGD, "first", link_to="model.first")

    cli = parse("--first.lr=0.25", cli=Linked, model=TakesOptimizer)
    assert cli.model.first["class_path"] == "torch.optim.sgd.SGD"
    assert cli.model.first["init_args"]["lr"] == 0.25


class MakesOptimizers(Model):
    """Makes what it was given, as Lightning's documentation does."""

    def __init__(self, first_init: dict | None = None, second_init: dict | None = None):
        super().__init__()
        self.first_init, self.second_init = first_init, second_init

    def configure_optimizers(self):
        optimizer = instantiate_class(self.parameters(), self.first_init)
        return [optimizer], [instantiate_class(optimizer, self.second_init)]


class MakesLinked(CLI):
    def add_arguments_to_parser(self, parser):
        parser.add_optimizer_args(nested_key="first", link_to="model.first_init")
        parser.add_lr_scheduler_args(
            ExponentialLR, nested_key="second", link_to="model.second_init"
        )


def test_a_module_makes_what_was_linked_to_it(command):
    words = ["--first=SGD", "--first.lr=0.25", "--second.gamma=0.5"]
    cli = command("fit", *words, cli=MakesLinked, model=MakesOptimizers)
    assert cli.trainer.optimizers[0].defaults["lr"] == 0.25
    assert cli.trainer.lr_scheduler_configs[0].scheduler.gamma == 0.5


def test_what_a_config_may_not_name_is_not_made_either(parse):
    spec = {"class_path": "os.system", "init_args": {"command": "touch ran"}}
    cli = parse(f"--model.first_init={spec}", model=MakesOptimizers)
    with pytest.raises(ImportError, match="not allowed"):
        cli.model.configure_optimizers()


class Injected(Model):
    """Makes its optimizer and scheduler with functions that a config gives."""

    def __init__(
        self,
        optimizer: OptimizerCallable = torch.optim.Adam,
        scheduler: LRSchedulerCallable = lambda o: StepLR(o, step_size=3),
    ):
        super().__init__()
        self.make_optimizer, self.make_scheduler = optimizer, scheduler

    def configure_optimizers(self):
        optimizer = self.make_optimizer(self.parameters())
        return [optimizer], [self.make_scheduler(optimizer)]


@pytest.mark.parametrize(
    ("words", "optimizer", "rate", "scheduler"),
    [
        ([], torch.optim.Adam, 1e-3, StepLR),
        (
            ["--model.optimizer=SGD", "--model.optimizer.lr=0.5"],
            torch.optim.SGD,
            0.5,
            StepLR,
        ),
        (
            ["--model.scheduler=ExponentialLR", "--model.scheduler.gamma=0.5"],
            torch.optim.Adam,
            1e-3,
            ExponentialLR,
        ),
    ],
)
def test_optimizers_can_be_injected(words, optimizer, rate, scheduler, command):
    settings = {"auto_configure_optimizers": False, "model": Injected}
    cli = command("fit", *words, **settings)
    assert type(cli.trainer.optimizers[0]) is optimizer
    assert cli.trainer.optimizers[0].defaults["lr"] == rate
    assert type(cli.trainer.lr_scheduler_configs[0].scheduler) is scheduler
    config = Path(cli.trainer.log_dir, "config.yaml")
    again = command("fit", f"--config={config}", **settings)
    assert type(again.trainer.optimizers[0]) is optimizer
    assert again.trainer.optimizers[0].defaults["lr"] == rate


def test_two_automatic_optimizers_are_refused(parse):
    class Two(CLI):
        def add_arguments_to_parser(self, parser):
            parser.add_optimizer_args(torch.optim.SGD, "first")
            parser.add_optimizer_args(torch.optim.Adam, "second")

    with pytest.raises(MisconfigurationError, match="first and second"):
        parse(cli=Two)


def test_without_automatic_optimizers_there_is_no_such_option(refusal):
    said = refusal("--optimizer=SGD", auto_configure_optimizers=False)
    assert said.startswith("--optimizer is no option")


# --- how a run ends -----------------------------------------------------------------------


def test_a_user_s_error_is_raised_to_whoever_calls(command):
    with pytest.raises(DataError, match="no folder nowhere"):
        command("fit", "--data.folder=nowhere")


def test_a_callback_s_own_refusal_is_raised_as_it_is(parse):
    words = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_top_k=5"]
    with pytest.raises(MisconfigurationError, match="monitor") as refused:
        parse(*words)
    assert "Union" not in str(refused.value)


def test_uncaught_user_errors_are_one_sentence(parse, capsys):
    parse()
    error = DataError("There is no data: bring some.")
    sys.excepthook(DataError, error, None)
    assert capsys.readouterr().err == "There is no data: bring some.\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.nn.Dropout(2.0), "has to be between 0 and 1, but got 2.0"),
        (lambda: torch.nn.Conv2d(1, -4, 3), "negative dimension -4"),
        (lambda: DataLoader(TensorDataset(), num_workers=-1), "should be non-negative"),
    ],
)
def test_a_value_that_torch_s_constructors_refuse_is_one_sentence(
    parse, capsys, make, message
):
    parse()
    with pytest.raises((ValueError, RuntimeError)) as refused:
        make()
    sys.excepthook(refused.type, refused.value, refused.tb)
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1
    assert f"({__file__}, line {make.__code__.co_firstlineno})" in printed


def test_a_value_that_torch_s_functions_refuse_keeps_its_traceback(parse, capsys):
    parse()
    with pytest.raises(ValueError) as refused:
        torch.nn.functional.cross_entropy(torch.zeros(3, 2), torch.zeros(4).long())
    sys.excepthook(refused.type, refused.value, refused.tb)
    assert capsys.readouterr().err.startswith("Traceback")


def test_uncaught_bugs_keep_their_traceback(parse, capsys):
    parse()
    error = ZeroDivisionError("a bug")
    sys.excepthook(ZeroDivisionError, error, None)
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


def test_a_run_leaves_its_config_and_its_record(command):
    cli = command("fit")
    assert Path(cli.trainer.log_dir, "config.yaml").is_file()
    record = json.loads(Path(cli.trainer.log_dir, "run.json").read_text())
    assert record["ended"] == "completed: max_epochs=1"


def test_a_trial_run_leaves_nothing(command, folder):
    command("fit", "--trainer.fast_dev_run=true")
    assert list(folder.iterdir()) == []


def test_early_stopping_in_a_config(command):
    Path("stop.yaml").write_text(
        "trainer:\n"
        "  callbacks:\n"
        "  - class_path: lightning.pytorch.callbacks.EarlyStopping\n"
        "    init_args: {monitor: val_loss, stopping_threshold: 1e3}\n"
    )
    cli = command("fit", "--config=stop.yaml", "--trainer.max_epochs=9")
    assert isinstance(cli.trainer.early_stopping_callback, EarlyStopping)
    assert cli.trainer.current_epoch == 1
