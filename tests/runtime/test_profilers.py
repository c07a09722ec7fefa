"""Profilers: what they report, where they write it, and that they change nothing."""

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.callbacks import LambdaCallback
from scaffold_runtime.profilers import (
    AdvancedProfiler,
    PassThroughProfiler,
    Profiler,
    PyTorchProfiler,
    SimpleProfiler,
)
from tests.runtime.callbacks.conftest import loader

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


class Net(L.LightningModule):
    """Six batches an epoch, and a block of its own in each."""

    def __init__(self, manual=False):
        super().__init__()
        self.automatic_optimization = not manual
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))

    def training_step(self, batch, batch_idx):
        with self.trainer.profiler.profile("augment"):
            x, y = batch
        loss = nn.functional.mse_loss(self.network(x), y)
        if not self.automatic_optimization:
            self.optimizers().zero_grad()
            self.manual_backward(loss)
            self.optimizers().step()
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.mse_loss(self.network(batch[0]), batch[1]))

    def predict_step(self, batch, batch_idx):
        return self.network(batch[0])

    def on_train_epoch_end(self):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return loader(samples=24, batch_size=4)

    val_dataloader = predict_dataloader = train_dataloader


def fit(tmp_path, profiler, net=None, **arguments):
    """Two epochs of six batches, or what the arguments say."""
    net = net or Net()
    arguments = {"max_epochs": 2, "default_root_dir": tmp_path, **QUIET, **arguments}
    trainer = L.Trainer(profiler=profiler, **arguments)
    trainer.fit(net)
    return net


def test_the_simple_profiler_counts_what_was_called(tmp_path):
    profiler = SimpleProfiler()
    note = LambdaCallback(on_train_epoch_end=lambda *_: None)
    fit(tmp_path, profiler, callbacks=note, accumulate_grad_batches=2)
    assert {
        name: len(times) for name, times in profiler.recorded_durations.items()
    } == {
        "run_training_epoch": 2,
        "run_training_batch": 12,
        "train_dataloader_next": 14,  # each epoch finds its end
        "[LightningModule]Net.training_step": 12,
        "augment": 12,
        "backward": 12,
        "optimizer_step": 6,
        "sanity_check_dataloader_next": 2,
        "run_sanity_check_batch": 2,
        "validate_dataloader_next": 12,
        "run_validate_batch": 12,
        "[LightningModule]Net.validation_step": 14,
        "[LightningModule]Net.on_train_epoch_end": 2,
        "[LightningModule]Net.on_validation_model_eval": 3,
        "[LightningModule]Net.on_validation_model_zero_grad": 2,
        "[Callback]LambdaCallback.on_train_epoch_end": 2,
    }


def test_a_table_is_printed_with_the_slowest_first(tmp_path, capsys):
    class Slow(Net):
        def on_train_epoch_end(self):
            time.sleep(0.2)

    fit(tmp_path, "simple", Slow(), num_sanity_val_steps=0)
    report = capsys.readouterr().out
    assert report.startswith("FIT Profiler Report")
    rows = [line.split() for line in report.splitlines() if "." in line]
    by_name = {row[0]: [float(number) for number in row[1:]] for row in rows[:-1]}
    mean, total, calls, share = by_name["[LightningModule]Slow.on_train_epoch_end"]
    assert mean * 2 == pytest.approx(total, rel=1e-2)
    assert total >= 0.4 and calls == 2 and 0 < share < 100
    totals = [row[1] for row in by_name.values()]
    assert totals == sorted(totals, reverse=True)
    assert "Share" not in SimpleProfiler(extended=False).summary()


@pytest.mark.parametrize("extended", [True, False])
def test_the_short_table_has_no_calls_and_no_shares(extended):
    profiler = SimpleProfiler(extended=extended)
    with profiler.profile("mine"):
        pass
    assert ("Calls" in profiler.summary()) == extended


def test_manual_optimization_is_measured(tmp_path):
    profiler = SimpleProfiler()
    fit(tmp_path, profiler, Net(manual=True))
    calls = Counter(
        {name: len(times) for name, times in profiler.recorded_durations.items()}
    )
    assert calls["backward"] == calls["optimizer_step"] == 12


@pytest.mark.parametrize("kind", [SimpleProfiler, AdvancedProfiler, PyTorchProfiler])
def test_reports_are_files_by_stage_and_rank(kind, tmp_path):
    profiler = kind(dirpath=tmp_path / "there", filename="times")
    trainer = L.Trainer(max_epochs=1, profiler=profiler, **QUIET)
    trainer.fit(Net())
    trainer.predict(Net())
    names = {path.name for path in (tmp_path / "there").glob("*.txt")}
    assert names == {"fit-times.txt", "predict-times.txt"}
    profiler.setup("test", local_rank=3)
    with profiler.profile("mine"):
        pass
    profiler.describe()
    assert (tmp_path / "there" / "test-times-3.txt").read_text()


def test_a_second_run_adds_its_report_to_the_file(tmp_path):
    for _ in range(2):
        profiler = SimpleProfiler(dirpath=tmp_path, filename="times")
        L.Trainer(max_epochs=1, profiler=profiler, **QUIET).fit(Net())
        assert profiler.start_time < time.monotonic()
    assert (tmp_path / "fit-times.txt").read_text().count("The whole: ") == 2


@pytest.mark.parametrize("word", ["simple", "Simple"])
def test_a_word_names_a_profiler_whatever_its_case(word):
    assert isinstance(L.Trainer(profiler=word, **QUIET).profiler, SimpleProfiler)


def test_the_folder_is_that_of_the_logs(tmp_path):
    fit(tmp_path, SimpleProfiler(filename="times"), logger=True)
    assert (tmp_path / "lightning_logs/version_0/fit-times.txt").is_file()


def traces(folder):
    return [json.loads(path.read_text()) for path in folder.glob("*.pt.trace.json")]


def test_the_trace_is_json_with_three_steps(tmp_path, capsys):
    fit(tmp_path, "pytorch")
    (trace,) = traces(tmp_path)
    counts = Counter(event.get("name") for event in trace["traceEvents"])
    steps = [name for name in counts if str(name).startswith("ProfilerStep")]
    assert len(steps) == 3
    assert counts["run_training_batch"] == counts["backward"] == 3
    assert counts["[LightningModule]Net.training_step"] == counts["augment"] == 3
    assert counts["Sequential"] == counts["ReLU"] == 3
    assert counts["Linear"] == 6 and "aten::addmm" in counts
    assert "optimizer_step" in capsys.readouterr().out


def test_torchs_own_arguments(tmp_path):
    seen = []
    profiler = PyTorchProfiler(
        dirpath=tmp_path,
        filename="mine",
        export_to_chrome=False,
        record_module_names=False,
        row_limit=3,
        sort_by_key="count",
        schedule=torch.profiler.schedule(wait=1, warmup=1, active=1),
        on_trace_ready=lambda profile: seen.append(profile.step_num),
        profile_memory=True,
    )
    fit(tmp_path, profiler)
    assert seen == [3, 6, 9, 12] and not traces(tmp_path)
    table = (tmp_path / "fit-mine.txt").read_text()
    assert "CPU Mem" in table and "Sequential" not in table
    assert not nn.modules.module._global_forward_hooks


def test_a_function_for_traces_takes_the_place_of_files(tmp_path):
    seen = []
    profiler = PyTorchProfiler(on_trace_ready=seen.append)
    fit(tmp_path, profiler)
    assert len(seen) == 1 and not traces(tmp_path)


def test_without_a_schedule_everything_is_recorded(tmp_path):
    fit(tmp_path, PyTorchProfiler(schedule=None), max_epochs=1)
    (trace,) = traces(tmp_path)
    names = [event.get("name") for event in trace["traceEvents"]]
    assert names.count("run_training_batch") == 6
    assert names.count("run_validate_batch") == 6


def test_a_run_that_is_too_short_says_so(tmp_path, capsys):
    later = torch.profiler.schedule(wait=20, warmup=1, active=1)
    fit(tmp_path, PyTorchProfiler(schedule=later))
    assert "Nothing was recorded" in capsys.readouterr().out


def test_the_advanced_profiler_leaves_inner_actions_out():
    profiler = AdvancedProfiler()

    def before():
        pass

    def within():
        pass

    def after():
        pass

    with profiler.profile("outer"):
        before()
        with profiler.profile("inner"):
            within()
        after()
    outer, inner = profiler.summary().split("Profile stats for: ")[1:]
    assert "(before)" in outer and "(after)" in outer and "(within)" not in outer
    assert "(within)" in inner


def test_the_advanced_profiler_dumps_what_pstats_reads(tmp_path):
    import pstats

    fit(tmp_path, AdvancedProfiler(tmp_path, "times", 3, dump_stats=True))
    path = tmp_path / "fit-times-[LightningModule]Net.training_step.prof"
    functions = pstats.Stats(str(path)).get_stats_profile().func_profiles
    assert functions["training_step"].ncalls == "12"


@pytest.mark.parametrize("word", ["simple", "advanced", "pytorch"])
def test_a_profiler_changes_no_number(word, tmp_path):
    measured, plain = fit(tmp_path, word), fit(tmp_path, None)
    for mine, other in zip(measured.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_run_that_fails_is_reported_too(tmp_path, capsys):
    class Broken(Net):
        def on_train_epoch_end(self):
            raise RuntimeError("broken")

    for word in ("simple", "advanced", "pytorch"):
        with pytest.raises(RuntimeError, match="broken"):
            fit(tmp_path, word, Broken())
        assert "training_step" in capsys.readouterr().out
    assert not nn.modules.module._global_forward_hooks


@pytest.mark.parametrize("kind", [SimpleProfiler, AdvancedProfiler])
def test_an_action_that_was_not_started_is_an_error(kind):
    with pytest.raises(ValueError, match="'mine' was not started"):
        kind().stop("mine")


def test_an_action_cannot_be_started_twice():
    profiler = SimpleProfiler()
    profiler.start("mine")
    with pytest.raises(ValueError, match="'mine' runs already"):
        profiler.start("mine")


def test_a_profiler_of_your_own(tmp_path):
    class Noting(Profiler):
        def __init__(self):
            super().__init__()
            self.open, self.names = [], set()

        def start(self, action_name):
            self.open.append(action_name)

        def stop(self, action_name):
            assert self.open.pop() == action_name
            self.names.add(action_name)

        def summary(self):
            return "mine"

    profiler = Noting()
    fit(tmp_path, profiler)
    assert {"backward", "augment", "run_training_epoch"} <= profiler.names


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: L.Trainer(profiler="xla"), "'xla' is unknown: use 'simple'"),
        (lambda: PyTorchProfiler(emit_nvtx=True), "emit_nvtx"),
        (lambda: PyTorchProfiler(sort_by_key="slowest"), "'slowest' is unknown"),
        (lambda: PyTorchProfiler(with_colour=True), "with_colour"),
        (lambda: PyTorchProfiler(schedule=3), "schedule"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(make, says):
    with pytest.raises(L.MisconfigurationError, match=says):
        make()


def test_the_profiler_that_is_not_there_is_refused_by_name():
    with pytest.raises(ImportError, match="no XLAProfiler: use PyTorchProfiler"):
        from scaffold_runtime.profilers import XLAProfiler  # noqa: F401


def test_without_a_profiler_functions_pass_unchanged():
    profiler = L.Trainer(max_epochs=1, **QUIET).profiler
    assert isinstance(profiler, PassThroughProfiler)
    items = iter([1])
    assert profiler.wrap(print, "print") is print
    assert profiler.watch(items, "items") is items


def test_two_processes_write_a_file_each(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import scaffold_runtime as L\n"
        "from scaffold_runtime.profilers import SimpleProfiler\n"
        "from tests.runtime.test_profilers import Net, fit\n"
        "if __name__ == '__main__':\n"
        "    profiler = SimpleProfiler(filename='times')\n"
        "    fit('.', profiler, devices=2, strategy='ddp')\n"
    )
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)
    assert {path.name for path in tmp_path.glob("*.txt")} == {
        "fit-times-0.txt",
        "fit-times-1.txt",
    }


class Unwritable(SimpleProfiler):
    def describe(self):
        raise OSError("no space left")


def test_a_report_that_fails_keeps_no_folder_taken(tmp_path):
    options = {**QUIET, "enable_checkpointing": True, "default_root_dir": tmp_path}
    trainer = L.Trainer(max_epochs=1, profiler=Unwritable(), **options)
    with pytest.raises(OSError, match="no space"):
        trainer.fit(Net())
    files = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert files == {"epoch=0-step=6.ckpt"}


def test_a_profiler_may_measure_in_any_context_and_sum_up_when_a_run_ends(tmp_path):
    class Silent(Profiler):
        def start(self, action_name):
            pass

        def stop(self, action_name):
            pass

        def profile(self, action_name):
            return nullcontext()

    class Summing(PyTorchProfiler):
        def teardown(self, stage):
            self.text = self.summary()
            super().teardown(stage)

    summing = Summing(dirpath=tmp_path)
    for profiler in (Silent(), summing):
        fit(tmp_path, profiler, max_epochs=1)
    assert summing.text
