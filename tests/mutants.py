"""Faults that a compatibility suite does not notice, seeded one by one into a copy.

`make mutants` runs the tests against each and prints which test noticed it. A fault that no
test notices is a hole in the tests.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = Path("runtime", "scaffold_runtime")
SCENARIO = "tests/parity/test_scenarios.py::test_a_run_is_lightnings"
ACCUMULATED = f"{SCENARIO}[accumulated, with a rest]"
EVERY = f"{SCENARIO}[every entry point]"
RATES = "tests/parity/test_scenarios.py::test_rates_and_losses_are_bitwise_lightnings"
STATE = "tests/parity/test_scenarios.py::test_the_state_after_a_resume_is_lightnings"
RESUME = "tests/reliability/test_exact_resume.py::test_resumed_at_every_place"
OVERFIT = "test_overfitting_takes_the_same_batches_in_order"
LOADING = f"tests/runtime/loops/test_loading.py::{OVERFIT}"
VERSION = "test_a_taken_name_gets_a_version_from_one"
CHECKPOINT = f"tests/runtime/callbacks/test_model_checkpoint.py::{VERSION}"


@dataclass(frozen=True)
class Mutant:
    """A fault: in `module` of the runtime, the one place `old` becomes `new`.

    `test` is the one that should notice it.
    """

    fault: str
    module: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "epoch mean without batch weights",
        "metrics.py",
        "value = value * batch_size\n",
        "batch_size = 1\n            value = value * batch_size\n",
        EVERY,
    ),
    Mutant(
        "accumulated loss not divided",
        "loops/training.py",
        "loss = loss / accumulated",
        "loss = loss / 1",
        ACCUMULATED,
    ),
    Mutant(
        "scheduler frequency ignored",
        "loops/training.py",
        "if count % config.frequency == 0:",
        "if count % 1 == 0:",
        RATES,
    ),
    Mutant(
        "mixed precision silently off",
        "loops/step_plan.py",
        "autocast=None if precision.is_plain else precision.forward_context,",
        "autocast=None,",
        f"{SCENARIO}[bf16-mixed]",
    ),
    Mutant(
        "loader state not restored",
        "loops/resume.py",
        "skip=progress.batch)",
        "skip=0)",
        RESUME,
    ),
    Mutant(
        "patience off by one",
        "callbacks/early_stopping.py",
        "if self.wait_count < self.patience:",
        "if self.wait_count <= self.patience:",
        f"{SCENARIO}[early stopping]",
    ),
    Mutant(
        "global_step counts batches",
        "loops/training.py",
        "progress.batches += 1\n    progress.phase = Phase.BATCH_DONE",
        "progress.batches += 1\n    progress.global_step = progress.batches\n"
        "    progress.phase = Phase.BATCH_DONE",
        ACCUMULATED,
    ),
    Mutant(
        "overfit still shuffles",
        "loops/loading.py",
        "setup_loader(source, training, deals, overfits, whole)",
        "setup_loader(source, training, deals, False, whole)",
        LOADING,
    ),
    Mutant(
        "no step on the epoch's last batch",
        "loops/training.py",
        "trainer.is_last_batch or (batch_idx + 1) %",
        "(batch_idx + 1) %",
        ACCUMULATED,
    ),
    Mutant(
        "plateau scheduler never stepped",
        "loops/training.py",
        'step_schedulers(trainer, "epoch", plateau=True)',
        "pass",
        f"{SCENARIO}[plateau of a validation metric]",
    ),
    Mutant(
        "callback state not restored",
        "loops/resume.py",
        "callback.load_state_dict(states.pop(callback.state_key))",
        "pass",
        STATE,
    ),
    Mutant(
        "optimizer state not restored",
        "loops/resume.py",
        "trainer.strategy.load_optimizer_state(optimizer, state)",
        "pass",
        STATE,
    ),
    Mutant(
        "scheduler state not restored",
        "loops/resume.py",
        "config.scheduler.load_state_dict(state)",
        "pass",
        RESUME,
    ),
    Mutant(
        "random state not restored",
        "loops/resume.py",
        'restore_random_state(own["random_state"])',
        "pass",
        RESUME,
    ),
    Mutant(
        "clipping ignored",
        "loops/step_plan.py",
        "clip=module.configure_gradient_clipping if clips else None,",
        "clip=None,",
        f"{SCENARIO}[clipped by value]",
    ),
    Mutant(
        "metrics not reset between epochs",
        "loops/training.py",
        "    trainer.recorder.reset()\n",
        "",
        f"{SCENARIO}[a sum over the epoch]",
    ),
    Mutant(
        "staying in evaluation mode after validation",
        "loops/evaluation.py",
        "child.training = training",
        "child.training = False",
        EVERY,
    ),
    Mutant(
        "version suffix from 2",
        "callbacks/model_checkpoint.py",
        "STARTING_VERSION: ClassVar[int] = 1",
        "STARTING_VERSION: ClassVar[int] = 2",
        CHECKPOINT,
    ),
)


def places(mutant: Mutant) -> int:
    """How often the text that `mutant` changes occurs; it must be once."""
    source = (ROOT / PACKAGE / mutant.module).read_text(encoding="utf-8")
    return source.count(mutant.old)


def first_failure(copy: Path, *tests: str) -> str | None:
    """The first test that fails in the checkout `copy`; None where all pass."""
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*pytest, *tests],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "runtime"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if result.returncode == 0:
        return None
    failed = re.search(
        r"^(?:FAILED|ERROR) (?:.*/)?([^/\n]+?)(?: - .*)?$", result.stdout, re.M
    )
    if failed is None:
        raise RuntimeError(f"pytest could not run:\n{result.stdout}{result.stderr}")
    return failed[1]


def seed(copy: Path, mutant: Mutant) -> str | None:
    """Seed `mutant` into `copy`, run its tests, and take it out again."""
    module = copy / PACKAGE / mutant.module
    source = module.read_text(encoding="utf-8")
    module.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return first_failure(copy, mutant.test)
    finally:
        module.write_text(source, encoding="utf-8")


def main() -> int:
    """Seed every fault; the exit code is 1 where one was not noticed."""
    survived = 0
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in ("runtime", "tests"):
            shutil.copytree(ROOT / folder, copy / folder)
        shutil.copy(ROOT / "pyproject.toml", copy)
        if failure := first_failure(copy, *{mutant.test for mutant in MUTANTS}):
            print(f"{failure} fails without any fault: mend that first.")
            return 1
        print("| fault | noticed by | seconds |\n|---|---|---|")
        for mutant in MUTANTS:
            start = time.perf_counter()
            noticed = seed(copy, mutant)
            survived += noticed is None
            seconds = time.perf_counter() - start
            print(
                f"| {mutant.fault} | {noticed or 'NOBODY'} | {seconds:.0f} |",
                flush=True,
            )
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
