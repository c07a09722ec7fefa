"""The thread that gives signs of life ends before the interpreter does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RUNTIME = Path(__file__).parents[2] / "runtime"
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)

# Python aborts a process that ends while a thread of it is in a call to the store.
BUSY = """
import atexit, contextlib, datetime, time
import torch.distributed as dist
from scaffold_runtime.heartbeat import Heartbeat

class Busy:
    store = dist.TCPStore("127.0.0.1", 0, 1, True)

    def clone(self):
        return self

    def set(self, key, value):
        with contextlib.suppress(RuntimeError):
            self.store.wait(["never"], datetime.timedelta(seconds=0.3))

beat = Heartbeat(Busy(), rank=0, world_size=1)
atexit.register(beat.stop)
time.sleep(1.1)
"""
TWO_RANKS = """
import atexit, os, sys, threading

def say_whether_it_lives(when):
    alive = "heartbeat" in {thread.name for thread in threading.enumerate()}
    os.write(1, f"{when}: {alive}\\n".encode())  # two ranks' lines stay whole

atexit.register(say_whether_it_lives, "at the end")
import scaffold_runtime as L

engine = L.Engine("cpu", sys.argv[1], devices=2)
engine.launch()
say_whether_it_lives("in the run")
"""


def run(tmp_path, code, *words):
    script = tmp_path / "script.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, script, *words],
        env={**os.environ, "PYTHONPATH": str(RUNTIME), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_can_be_stopped_in_the_middle_of_a_beat(tmp_path):
    process = run(tmp_path, BUSY)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_it_ends_before_the_process_does(tmp_path, strategy):
    process = run(tmp_path, TWO_RANKS, strategy)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("in the run: True") == 2
    assert "at the end: False" in process.stdout
    assert "at the end: True" not in process.stdout
