"""Signals to a run, to one of its ranks, and to its launcher; ranks that die or hang."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.reliability.recorded_run import differences

TOP = Path(__file__).parents[2]
STEP = 0.15
SOON = 10  # seconds
EITHER_RANK = [pytest.param(0, marks=pytest.mark.full), 1]


def command(folder, devices, seconds, *ckpt_path):
    words = [
        "-m",
        "tests.reliability.stopped_run",
        folder,
        devices,
        seconds,
        *ckpt_path,
    ]
    return [sys.executable, *map(str, words)]


def start(folder, devices=1, seconds=STEP, *ckpt_path):
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'runtime'}"}
    return subprocess.Popen(
        command(folder, devices, seconds, *ckpt_path),
        cwd=TOP,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, seconds=60):
    """The exit code, what it said, and how long its end took."""
    began = time.monotonic()
    _, words = process.communicate(timeout=seconds)
    return process.returncode, words, time.monotonic() - began


def pid_in_training(folder, rank, process, steps=3):
    """The process of a rank that has taken some steps."""
    path = folder / f"rank{rank}.pid"
    for _ in range(1200):
        words = path.read_text().split() if path.exists() else []
        if len(words) == 2 and int(words[1]) >= steps:
            return int(words[0])
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise TimeoutError(f"rank {rank} did not train")


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Outcomes of runs without a stop, by number of ranks."""
    found = {}
    for devices in (1, 2):
        folder = tmp_path_factory.mktemp(f"whole{devices}")
        code, words, _ = finish(start(folder, devices, 0))
        assert code == 0, words
        outs = [folder / f"rank{rank}.out" for rank in range(devices)]
        found[devices] = [torch.load(out, weights_only=False) for out in outs]
    return found


def resume_and_compare(folder, expected):
    devices = len(expected)
    code, words, _ = finish(start(folder, devices, 0, "last"))
    assert code == 0, words
    for rank in range(devices):
        out = torch.load(folder / f"rank{rank}.out", weights_only=False)
        assert differences(expected[rank], out) == []


@pytest.mark.parametrize("rank", EITHER_RANK)
def test_a_signal_to_one_rank_stops_all(rank, expected, tmp_path):
    process = start(tmp_path, 2)
    pids = [pid_in_training(tmp_path, each, process) for each in (0, 1)]
    os.kill(pids[rank], signal.SIGTERM)
    code, words, seconds = finish(process)
    assert (code, seconds < SOON) == (143, True), words
    assert "Traceback" not in words
    assert not any(map(is_alive, pids))
    resume_and_compare(tmp_path, expected[2])


@pytest.mark.full
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_to_the_launcher_stops_all(name, code, expected, tmp_path):
    process = start(tmp_path, 2)
    pids = [pid_in_training(tmp_path, each, process) for each in (0, 1)]
    process.send_signal(getattr(signal, name))
    got, words, seconds = finish(process)
    assert (got, seconds < SOON) == (code, True), words
    assert "Traceback" not in words
    assert not any(map(is_alive, pids))
    resume_and_compare(tmp_path, expected[2])


@pytest.mark.full
def test_a_signal_to_the_whole_group_stops_all_once(expected, tmp_path):
    process = start(tmp_path, 2)
    pids = [pid_in_training(tmp_path, each, process) for each in (0, 1)]
    for pid in [*pids, process.pid]:
        os.kill(pid, signal.SIGTERM)
    code, words, _ = finish(process)
    assert code == 143, words
    resume_and_compare(tmp_path, expected[2])


def test_a_second_signal_ends_at_once(tmp_path):
    process = start(tmp_path, 1, 0.5)
    pid = pid_in_training(tmp_path, 0, process, steps=1)
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    code, _, seconds = finish(process)
    assert code == -signal.SIGTERM
    assert seconds < 0.4
    assert not list((tmp_path / "kept").glob("*.part"))


def addresses_listened_on(pid):
    """Local addresses of a process' listening sockets, from the kernel's tables."""
    links = (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
    sockets = {link.removeprefix("socket:[")[:-1] for link in links if "socket" in link}
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = row.split()
            if words[3] == "0A" and words[9] in sockets:  # 0A: it listens
                yield words[1].partition(":")[0]


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nobody_outside_this_machine_can_reach_a_run(tmp_path):
    process = start(tmp_path, 2, 0.5)
    workers = [pid_in_training(tmp_path, each, process) for each in (0, 1)]
    for pid in (process.pid, *workers):
        assert set(addresses_listened_on(pid)) == {"0100007F"}  # 127.0.0.1
    process.terminate()
    finish(process)


@pytest.mark.parametrize("rank", EITHER_RANK)
def test_a_rank_that_dies_is_named(rank, tmp_path):
    process = start(tmp_path, 2)
    pids = [pid_in_training(tmp_path, each, process) for each in (0, 1)]
    os.kill(pids[rank], signal.SIGKILL)
    code, words, seconds = finish(process)
    assert code != 0
    assert seconds < 6 + SOON
    assert f"Rank {rank} was ended by SIGKILL" in words
    assert "in train_epoch" in words  # the stack of the other rank
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize("rank", EITHER_RANK)
def test_a_rank_that_hangs_is_named_and_ended(rank, tmp_path):
    process = start(tmp_path, 2)
    pids = [pid_in_training(tmp_path, each, process) for each in (0, 1)]
    os.kill(pids[rank], signal.SIGSTOP)
    code, words, seconds = finish(process)
    assert code != 0
    assert seconds < 6 + SOON
    assert f"Rank {rank} (process {pids[rank]}" in words
    assert "gives no sign of life" in words
    assert "in train_epoch" in words  # the stack of the other rank
    assert not any(map(is_alive, pids))


@pytest.mark.full
def test_a_restarted_worker_ends_instead_of_training(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    options = ["--standalone", "--max-restarts=2", "-m"]
    process = subprocess.Popen(
        [
            *torchrun,
            *options,
            "tests.reliability.stopped_run",
            tmp_path,
            "2",
            str(STEP),
        ],
        cwd=TOP,
        env={**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'runtime'}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    os.kill(pid_in_training(tmp_path, 1, process), signal.SIGTERM)
    code, words, _ = finish(process)
    assert code == 1
    assert "this worker ends instead of training" in words
    assert not (tmp_path / "rank0.out").exists()


def test_a_second_run_in_one_folder_is_refused_and_a_killed_one_is_not_in_the_way(
    tmp_path,
):
    (tmp_path / "kept").mkdir()
    first = start(tmp_path, 1, 3.0)
    pid = pid_in_training(tmp_path, 0, first, steps=1)
    code, words, _ = finish(start(tmp_path))
    assert code == 1
    assert f"belongs to a run that is going on (process {pid} on" in words
    first.kill()
    finish(first)
    assert finish(start(tmp_path, 1, 0))[0] == 0
    assert not list((tmp_path / "kept").glob(".*"))
