"""`scaffold add model`: a network from words that trains, or a refusal in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.errors import UsageError
from tests.projects.command import run
from tests.scaffold.components import add, remove, snapshot

ARCHITECTURE = "conv 8, pool 2, dropout 10, conv 16, average, flatten, linear 10"
DEBUG = ["--config", "configs/debug.yaml"]


def test_a_config_trains_it_and_its_tests_pass(growing: Path) -> None:
    add("model", "small-net", arch=ARCHITECTURE)
    own = [*DEBUG, "--config", "configs/small_net.yaml"]
    printed = run(growing, "python", "train.py", "fit", *own)
    assert "max_epochs=2" in printed
    run(growing, "python", "train.py", "test", *own, "--ckpt_path", "best")
    run(growing, "bash", "launch/ddp.sh", "2", *own)
    run(growing, "python", "-m", "pytest", "-q", "tests/test_small_net.py")
    run(growing, "python", "train.py", "fit", *DEBUG)


def test_it_trains_on_data_that_was_added_too(growing: Path) -> None:
    before = snapshot(growing)
    add("datamodule", "drawn", source="synthetic")
    add("model", "small-net", arch="flatten, linear 3")
    both = ["--config", "configs/drawn.yaml", "--config", "configs/small_net.yaml"]
    run(growing, "python", "train.py", "fit", *DEBUG, *both)
    refused = run(
        growing, "python", "train.py", "fit", *DEBUG, *both[2:], code=1
    ).splitlines()
    assert "is for 3 classes of images (1, 8, 8), not for 10 of" in refused[-1]
    for kind, name in (("datamodule", "drawn"), ("model", "small-net")):
        remove(kind, name)
    assert {p: c for p, c in snapshot(growing).items() if "runs/" not in p} == {
        p: c for p, c in before.items() if "runs/" not in p
    }


def test_an_impossible_network_is_refused_before_anything_is_written(
    growing: Path,
) -> None:
    before = snapshot(growing)
    with pytest.raises(
        UsageError, match=r"layer 2, 'linear 10', takes \(N,\).* \(8, 8"
    ):
        add("model", "small-net", arch="conv 8, linear 10")
    assert snapshot(growing) == before
