"""`python -m benchmarks [CLAIM ...] [--write]`: measure, print, and keep the results."""

import argparse
import importlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from benchmarks.measure import Finding

CLAIMS = (
    "import_time",
    "cli_start",
    "generation",
    "upkeep",
    "project_help",
    "first_line",
    "steps",
    "checkpoint",
    "agreement",
)
PEERS = ("torch", "lightning", "accelerate", "copier", "black", "typer")
HEADING = (
    "# Last results",
    "",
    "Written by `python -m benchmarks --write`: minima over interleaved rounds in one run.",
    "",
)
RESULTS = Path(__file__).with_name("results.md")


def machine() -> str:
    """The machine and the versions, without naming a host."""
    versions = ", ".join(f"{peer} {importlib.metadata.version(peer)}" for peer in PEERS)
    return (
        f"{date.today()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" load average {os.getloadavg()[0]:.1f} when the run began, no accelerator used,"
        f" Python {platform.python_version()}, {versions}."
    )


def number(value: float) -> str:
    """Three digits at least, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def row(finding: Finding) -> str:
    """One row of the Markdown table."""
    peer, ratio = finding.against, ""
    if finding.peer is not None:
        peer = f"{finding.against}: {number(finding.peer)} {finding.unit}"
        ratio = f"{finding.value:.2f}"
    promise = ""
    if finding.promised is not None:
        promise = f"{finding.promised:g}, {'kept' if finding.kept else 'BROKEN'}"
    cells = (
        finding.what,
        f"{number(finding.ours)} {finding.unit}",
        peer,
        ratio,
        promise,
    )
    return f"| {' | '.join(cells)} |"


def report(claims: Iterable[str]) -> Iterator[str]:
    """The lines of the report, each as soon as it is measured."""
    yield "| what | measured | against | ratio | at most |"
    yield "|---|---|---|---|---|"
    for claim in claims:
        for finding in importlib.import_module(f"benchmarks.{claim}").measure():
            yield row(finding)


def main() -> None:
    """Measure the claims that were asked for, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    unknown = set(arguments.claims) - set(CLAIMS)
    if unknown:
        parser.error(f"unknown claim {sorted(unknown)[0]!r}: {', '.join(CLAIMS)}")
    lines = [machine(), ""]
    print(machine(), end="\n\n")
    for line in report(arguments.claims or CLAIMS):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        RESULTS.write_text("\n".join([*HEADING, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
