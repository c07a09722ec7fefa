import io
import os
import pickle
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from scaffold_runtime.callbacks.progress.display import LineDisplay
from scaffold_runtime.errors import MisconfigurationError

BARS = [RichProgressBar, TQDMProgressBar]


@pytest.fixture
def fit(make_trainer, net):
    def run(bar, model=None, **options):
        options = {"max_epochs": 2, "enable_progress_bar": True, **options}
        trainer = make_trainer(bar, **options)
        trainer.fit(model or net())
        return trainer

    return run


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


class SaveEveryStep(L.Callback):
    """A checkpoint after every step, numbered by it."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.save_checkpoint(
            f"{trainer.default_root_dir}/{trainer.global_step}.ckpt"
        )


@pytest.mark.parametrize("step", range(1, 9))
def test_a_run_resumed_anywhere_shows_the_rest_of_its_epoch(
    fit, make_trainer, net, tmp_path, capsys, monkeypatch, step
):
    monkeypatch.setattr(LineDisplay, "first_after", 0.0)
    monkeypatch.setattr(LineDisplay, "interval", 0.0)
    fit(SaveEveryStep(), enable_progress_bar=False)
    trainer = make_trainer(RichProgressBar(), enable_progress_bar=True, max_epochs=2)
    trainer.fit(net(), ckpt_path=str(tmp_path / f"{step}.ckpt"))
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    shown = [(words[0], words[1]) for words in lines if words[0].startswith("Epoch")]
    left = [(f"Epoch {n // 4}/1", f"{n % 4 + 1}/4") for n in range(step, 8)]
    assert set(left) <= set(shown)
    assert shown[-1] == ("Epoch 1/1", "4/4")


# --- where there is no terminal -----------------------------------------------------------


@pytest.mark.parametrize("bar", BARS)
def test_a_log_gets_one_line_an_epoch_without_control_characters(
    fit, bar, capsys, monkeypatch
):
    monkeypatch.setattr(LineDisplay, "min_gap", 0.0)
    fit(bar(), max_epochs=3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        [f"Epoch {epoch}/2", "4/4"] for epoch in range(3)
    ]
    assert all("val_loss=" in line and line.isprintable() for line in lines)


def test_short_epochs_do_not_flood_the_log_and_the_last_is_told(fit, capsys):
    fit(RichProgressBar(), max_epochs=30)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 10
    assert lines[-1].startswith("Epoch 29/29  4/4")


def test_a_long_epoch_says_something_in_between(fit, net, capsys, monkeypatch):
    monkeypatch.setattr(LineDisplay, "first_after", 0.0)
    monkeypatch.setattr(LineDisplay, "interval", 0.0)
    fit(RichProgressBar(), max_epochs=1, limit_val_batches=0)
    counts = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert counts[:4] == ["1/4", "2/4", "3/4", "4/4"]


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the bar sees go by, in a list of one."""
    now = [0.0]
    for module in ("layout", "rich_progress", "display"):
        path = f"scaffold_runtime.callbacks.progress.{module}.monotonic"
        monkeypatch.setattr(path, lambda: now[0])
    return now


def test_a_line_during_validation_is_still_its_epochs(fit, net, capsys, clock):
    """A validation that comes when a line is due is told after its epoch's words."""

    class Slow(net):
        def validation_step(self, batch, batch_idx):
            clock[0] += 1.2
            super().validation_step(batch, batch_idx)

    fit(RichProgressBar(), Slow(), max_epochs=2)
    lines = capsys.readouterr().out.splitlines()
    heads = [line.split("  ")[:2] for line in lines]
    assert heads == [["Epoch 0/1", "4/4"]] * 2 + [["Epoch 1/1", "4/4"]]
    assert [line.partition("Validation ")[2] for line in lines] == ["1/4", "", ""]


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_the_other_stages_tell_their_end(make_trainer, net, capsys, stage):
    trainer = make_trainer(RichProgressBar(), enable_progress_bar=True)
    getattr(trainer, stage)(net())
    word = {"validate": "Validation", "test": "Testing", "predict": "Predicting"}
    assert capsys.readouterr().out.startswith(f"{word[stage]}  4/4")


def test_rich_is_not_imported_where_there_is_no_terminal():
    code = """
import sys, torch, scaffold_runtime as L
class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False,
                    enable_checkpointing=False)
trainer.fit(Net(), [torch.ones(1, 1)])
print("rich" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.stdout.splitlines()[-1] == "False"


# --- in a terminal ------------------------------------------------------------------------


@pytest.fixture
def open_terminal(monkeypatch):
    """Puts a terminal of 60 columns in the place of standard output."""

    def open_now():
        screen = io.StringIO()
        screen.isatty = lambda: True
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setattr("sys.stdout", screen)
        return screen

    return open_now


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("leave", [True, False])
def test_a_terminal_gets_bars_that_fit_it(fit, open_terminal, bar, leave):
    terminal = open_terminal()
    fit(bar(leave=leave), max_epochs=2)
    text = plain(terminal.getvalue())
    assert all(len(line) <= 60 for line in re.split(r"[\r\n]", text))
    assert "Epoch 1/1" in text and "4/4" in text and "val_loss=" in text
    inner = re.findall(r"Validation[^\r\n]*", text)
    assert inner and not any("val_loss" in line for line in inner)


@pytest.mark.parametrize("bar", BARS)
def test_printing_does_not_break_the_bar(fit, open_terminal, net, bar):
    class Talks(net):
        def on_train_epoch_end(self):
            self.print("hello", self.current_epoch)

    terminal = open_terminal()
    fit(bar(), Talks())
    assert re.search(r"(^|\n|\r)\s*hello 0\s*\n", plain(terminal.getvalue()))


@pytest.mark.parametrize("bar", BARS)
def test_the_terminal_is_given_back_after_an_exception(fit, open_terminal, net, bar):
    class Fails(net):
        def on_train_epoch_end(self):
            raise RuntimeError("stop")

    terminal = open_terminal()
    with pytest.raises(RuntimeError, match="stop"):
        fit(bar(), Fails())
    text = terminal.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is shown
    assert plain(text).endswith("\n")
    assert sys.stdout is terminal


def test_rich_draws_what_its_console_is_given(fit):
    screen = io.StringIO()
    options = {"file": screen, "force_terminal": True, "width": 100}
    fit(RichProgressBar(console_kwargs=options))
    assert "━" in screen.getvalue()


def test_styles_and_formats_come_from_the_theme(fit):
    from scaffold_runtime.callbacks.progress import RichProgressBarTheme

    screen = io.StringIO()
    theme = RichProgressBarTheme(
        metrics="bold", metrics_format=".5f", metrics_text_delimiter=" | "
    )
    options = {"file": screen, "force_terminal": True, "width": 200}
    fit(RichProgressBar(theme=theme, console_kwargs=options), logger=True)
    assert re.search(r"\x1b\[1mv_num=0 \| val_loss=\d\.\d{5}\x1b", screen.getvalue())


# --- cost -------------------------------------------------------------------------------


@pytest.mark.parametrize("bar", BARS)
def test_metrics_are_fetched_only_to_be_drawn(fit, net, bar, monkeypatch):
    """200 steps of 1 ms at ten draws a second: the device is waited for a few times."""
    fetched = []

    class Counts(bar):
        def get_metrics(self, trainer, pl_module):
            fetched.append(trainer.global_step)
            return super().get_metrics(trainer, pl_module)

    class Slow(net):
        def training_step(self, batch, batch_idx):
            time.sleep(0.001)
            return super().training_step(batch, batch_idx)

    fit(Counts(), Slow(), max_epochs=50, limit_val_batches=0)
    epochs = 50
    assert len(fetched) <= 2 * epochs + 20


@pytest.mark.parametrize("bar", BARS)
def test_a_step_between_two_draws_costs_one_call(fit, bar, monkeypatch):
    calls = []
    made = bar()
    fit(made, max_epochs=1)
    made._next_draw = float("inf")

    def count(frame, event, arg):
        calls.append(event)

    sys.setprofile(count)
    try:
        made.on_train_batch_end(None, None, None, None, 3)
    finally:
        sys.setprofile(None)
    assert calls.count("call") == 1


# --- what it shows ----------------------------------------------------------------------


def test_get_metrics_may_be_overridden(fit, capsys):
    class Mine(RichProgressBar):
        def get_metrics(self, trainer, pl_module):
            items = super().get_metrics(trainer, pl_module)
            assert items.pop("v_num") == 0
            return {**items, "mine": torch.tensor(0.25)}

    fit(Mine(), logger=True)
    out = capsys.readouterr().out
    assert "mine=0.25" in out and "v_num" not in out


def test_long_versions_are_cut(make_trainer, net, tmp_path):
    logger = L.loggers.CSVLogger(tmp_path, version="a-long-name")
    bar = RichProgressBar()
    trainer = make_trainer(bar, logger=logger, enable_progress_bar=True, max_epochs=1)
    trainer.fit(net())
    assert bar.get_metrics(trainer, None)["v_num"] == "name"


def test_versions_of_several_loggers_are_joined(make_trainer, net, tmp_path):
    loggers = [L.loggers.CSVLogger(tmp_path, version=number) for number in (3, 12)]
    bar = RichProgressBar()
    trainer = make_trainer(bar, logger=loggers, enable_progress_bar=True, max_epochs=1)
    trainer.fit(net())
    assert bar.get_metrics(trainer, None)["v_num"] == "3_12"


def test_a_metric_called_as_the_version_is_said(make_trainer, net):
    class Clash(net):
        def training_step(self, batch, batch_idx):
            self.log("v_num", 7.0, prog_bar=True)
            return super().training_step(batch, batch_idx)

    bar = RichProgressBar()
    trainer = make_trainer(bar, logger=True, enable_progress_bar=True, max_epochs=1)
    with pytest.warns(UserWarning, match="v_num"):
        trainer.fit(Clash())
    assert bar.get_metrics(trainer, None)["v_num"] == 7.0


def test_without_max_epochs_there_is_no_last_one(fit, capsys, monkeypatch):
    monkeypatch.setattr(LineDisplay, "min_gap", 0.0)
    fit(RichProgressBar(), max_epochs=-1, max_steps=6, limit_val_batches=0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        ["Epoch 0", "4/4"],
        ["Epoch 1", "2/2"],
    ]


def test_several_loaders_count_on(make_trainer, net, capsys):
    class Two(net):
        def test_step(self, batch, batch_idx, dataloader_idx=0):
            pass

        def test_dataloader(self):
            return [super().test_dataloader(), super().test_dataloader()]

    make_trainer(RichProgressBar(), enable_progress_bar=True).test(Two())
    assert capsys.readouterr().out.startswith("Testing  8/8")


def test_validation_does_not_slow_the_rate_of_training(fit, net, capsys, clock):
    class Clocked(net):
        def training_step(self, batch, batch_idx):
            clock[0] += 0.5
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            clock[0] += 100
            super().validation_step(batch, batch_idx)

    fit(RichProgressBar(), Clocked(), max_epochs=1, val_check_interval=2)
    line = capsys.readouterr().out.splitlines()[-1]
    assert "2.0 it/s  0:02<0:00" in line


# --- switches ---------------------------------------------------------------------------


def test_a_bar_may_be_enabled_in_mid_run(fit, net, capsys):
    class Later(net):
        def on_train_epoch_start(self):
            if self.current_epoch == 1:
                self.trainer.progress_bar_callback.enable()

    bar = RichProgressBar()
    bar.disable()
    fit(bar, Later())
    assert capsys.readouterr().out.startswith("Epoch 1/1  4/4")


def test_refresh_rate_counts_batches_where_it_does_in_lightning(fit, monkeypatch):
    drawn = []
    monkeypatch.setattr(LineDisplay, "interval", 0.0)
    monkeypatch.setattr(
        LineDisplay, "draw", lambda self, tasks: drawn.append(tasks[0].completed)
    )
    bar = TQDMProgressBar(3, 0, True)
    fit(bar, max_epochs=1, limit_val_batches=0)
    assert bar.refresh_rate == 3
    assert drawn == [3, 4]


def test_what_is_tied_to_tqdm_is_refused():
    with pytest.raises(MisconfigurationError, match="process_position"):
        TQDMProgressBar(process_position=1)
    with pytest.raises(MisconfigurationError, match="init_train_tqdm"):

        class Mine(TQDMProgressBar):
            def init_train_tqdm(self):
                pass


@pytest.mark.parametrize("bar", BARS)
def test_a_rate_that_is_no_number_is_refused(bar):
    with pytest.raises(MisconfigurationError, match="refresh_rate='often'"):
        bar(refresh_rate="often")


@pytest.mark.parametrize("bar", BARS)
def test_a_disabled_bar_shows_nothing(fit, bar, capsys):
    for made in (bar(refresh_rate=0), bar()):
        made.disable()
        assert made.is_disabled and not made.is_enabled
        fit(made)
    assert capsys.readouterr().out == ""
    made.enable()
    assert made.is_enabled


def test_only_rank_zero_shows_progress():
    bar = RichProgressBar()
    bar.setup(SimpleNamespace(is_global_zero=False), None, "fit")
    assert bar.is_disabled


@pytest.mark.parametrize("bar", BARS)
def test_it_can_be_pickled_after_a_run(fit, bar):
    made = bar()
    made._trainer = None
    made.disable()
    assert pickle.loads(pickle.dumps(made)).is_disabled


def test_a_bar_of_ones_own(fit, capsys):
    """As Lightning's documentation shows it."""

    class Percent(ProgressBar):
        def __init__(self):
            super().__init__()
            self.enabled = True

        def disable(self):
            self.enabled = False

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            print(f"{(batch_idx + 1) / self.total_train_batches:.0%}")

    fit(Percent(), max_epochs=1)
    assert capsys.readouterr().out.split() == ["25%", "50%", "75%", "100%"]


def test_a_bar_knows_its_trainer_from_setup_on():
    with pytest.raises(TypeError, match="setup"):
        _ = ProgressBar().trainer


def test_an_epoch_without_validation_has_no_batches_of_it(fit):
    class Counting(ProgressBar):
        def __init__(self):
            super().__init__()
            self.totals = []

        def on_train_epoch_start(self, trainer, pl_module):
            self.totals.append(self.total_val_batches)

    bar = Counting()
    fit(bar, max_epochs=4, check_val_every_n_epoch=2, num_sanity_val_steps=1)
    assert bar.totals == [0, 4, 0, 4]
