"""How everything here is measured: interleaved rounds, of which the minimum counts.

On a machine that others use too, the minimum repeats where mean and median do not; and
interleaving gives each contender the same share of a quiet moment.
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One line of the report: `ours` measured against `peer`.

    Both are numbers of `unit`. `promised` is the most that `ours / peer` may be, or with
    ``peer=None`` the most that `ours` may be; None where nothing is promised.
    """

    what: str
    ours: float
    unit: str
    against: str = ""
    peer: float | None = None
    promised: float | None = None

    @property
    def value(self) -> float:
        """What is held against the promise."""
        return self.ours if self.peer is None else self.ours / self.peer

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return self.promised is None or self.value <= self.promised


def floors(
    contenders: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, float]:
    """The least seconds of each contender over `rounds` interleaved rounds."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, measured in contenders.items():
            best[name] = min(best[name], measured())
    return best


def command_seconds(
    command: Sequence[str | Path], folder: Path | None = None, **environment: str
) -> float:
    """Wall seconds of `command`, with bytecode kept as an installed package has it.

    Raises:
        RuntimeError: The command failed; the message is what it printed.
    """
    start = time.perf_counter()
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.perf_counter() - start
    if result.returncode:
        raise RuntimeError(f"{command} failed:\n{result.stdout}")
    return seconds
