"""What a trainer adds to a training step: Python calls, and seconds as a ratio to raw."""

from functools import partial

import torch

from benchmarks import training_step
from benchmarks.measure import Finding, floors

ROUNDS = 9
PROMISED_CALLS = {"ours_off": 12, "ours_defaults": 30}
CONTENDERS = {
    contender.__name__: contender
    for contender in (
        training_step.raw,
        training_step.ours_off,
        training_step.ours_defaults,
        training_step.fabric,
        training_step.accelerate,
        training_step.lightning_off,
        training_step.lightning_defaults,
    )
}


def measure() -> list[Finding]:
    """One process and one thread; all contenders in each round."""
    torch.set_num_threads(1)
    calls = {
        name: training_step.calls_per_step(contender)
        for name, contender in CONTENDERS.items()
    }
    seconds = floors(
        {
            name: partial(training_step.seconds_per_step, contender)
            for name, contender in CONTENDERS.items()
        },
        ROUNDS,
    )
    raw_calls, raw_seconds = calls.pop("raw"), seconds.pop("raw")
    beyond = [
        Finding(
            f"calls a step beyond a raw loop: {name.replace('_', ', ')}",
            calls[name] - raw_calls,
            "calls",
            promised=PROMISED_CALLS.get(name),
        )
        for name in calls
    ]
    return beyond + [
        Finding(
            f"a training step: {name.replace('_', ', ')}",
            seconds[name] * 1e6,
            "us",
            "a raw loop",
            raw_seconds * 1e6,
        )
        for name in seconds
    ]
