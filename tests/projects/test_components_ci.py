"""`scaffold add ci`: a workflow whose steps run, of actions that cannot be moved."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.projects.command import run
from tests.scaffold.components import add


def test_its_last_step_runs_the_project_s_tests(growing: Path) -> None:
    add("ci", python_version="3.11")
    text = (growing / ".github" / "workflows" / "github.yaml").read_text()
    workflow = yaml.load(text, yaml.BaseLoader)
    steps = workflow["jobs"]["test"]["steps"]
    assert set(workflow["on"]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    _, python, install, test = steps
    assert python["with"]["python-version"] == "3.11"
    assert (growing / install["run"].split()[-1]).is_file()
    assert "tests collected" in run(
        growing, *test["run"].split(), "--collect-only", "-q"
    )


def test_actions_are_pinned_by_hash(growing: Path) -> None:
    add("ci", "tests")
    text = (growing / ".github" / "workflows" / "tests.yaml").read_text()
    actions = re.findall(r"uses: (\S+) # v\S+$", text, re.M)
    assert len(actions) == text.count("uses:") == 2
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)
