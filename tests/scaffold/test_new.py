import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaffold import catalog, fault, new, source, tree
from scaffold.errors import ScaffoldError, UsageError
from scaffold.plan import Plan
from scaffold.template import Template
from tests.scaffold.command_line import HOUSE, files_under, start


@pytest.fixture(scope="session")
def small_plan() -> Plan:
    """A plan made once; `plan_for` gives it another folder."""
    root, source.ROOT = source.ROOT, HOUSE
    try:
        return new.plan_new(catalog.task("tiny"), Path("x"), "my_digits", {})
    finally:
        source.ROOT = root


def planned(plan: Plan) -> dict[str, bytes]:
    return {o.path: o.after.content for o in plan.operations if o.after}


def contents(folder: Path) -> dict[str, bytes]:
    return {path: file.content for path, file in tree.read(folder).items()}


def plan_for(plan: Plan, folder: Path) -> Plan:
    return Plan(command="new", root=folder, operations=plan.operations)


@pytest.mark.parametrize(
    ("folder", "package"),
    [("my-digits", "my_digits"), ("a/b/digits", "digits"), ("Digits", "Digits")],
)
def test_the_folder_names_the_package(folder: str, package: str) -> None:
    assert new.package_for(Path(folder), None) == package


@pytest.mark.parametrize("folder", ["my digits", "digits.d", "7", "..", "{{x}}", "é"])
def test_a_folder_that_names_no_package_asks_for_a_name(folder: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        new.package_for(Path(folder), None)
    assert new.package_for(Path(folder), "digits") == "digits"


def test_the_plan_is_the_render_the_runtime_and_the_state(
    tiny: Template, rendered: tree.Tree, tmp_path: Path
) -> None:
    plan = new.plan_new(tiny, tmp_path / "x", "my_digits", {})
    paths = {operation.path for operation in plan.operations}
    assert set(rendered) <= paths
    assert {path.split("/")[0] for path in paths - set(rendered)} == {
        "vendor",
        ".scaffold",
    }
    assert plan.next[0] == f"cd {tmp_path}/x"
    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime(tiny: Template, tmp_path: Path) -> None:
    plan = new.plan_new(tiny, tmp_path / "x", "my_digits", {}, vendored=False)
    assert not any("vendor" in operation.path for operation in plan.operations)
    assert not any("runtime.json" in operation.path for operation in plan.operations)


def test_nothing_in_the_plan_depends_on_where_or_when(
    tiny: Template, tmp_path: Path
) -> None:
    plans = [
        new.plan_new(tiny, tmp_path / folder, "my_digits", {}).operations
        for folder in ("x", "y/z")
    ]
    assert plans[0] == plans[1]
    assert not any(
        str(tmp_path).encode() in o.after.content for o in plans[0] if o.after
    )


def test_apply_makes_what_was_planned(small_plan: Plan, tmp_path: Path) -> None:
    new.apply_new(plan_for(small_plan, tmp_path / "x"))
    assert contents(tmp_path / "x") == planned(small_plan)
    assert os.access(tmp_path / "x" / "launch" / "ddp.sh", os.X_OK)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_parents_are_made(small_plan: Plan, tmp_path: Path) -> None:
    new.apply_new(plan_for(small_plan, tmp_path / "a" / "b" / "x"))
    assert (tmp_path / "a" / "b" / "x" / "train.py").is_file()
    assert [path.name for path in (tmp_path / "a").rglob(".scaffold-new*")] == []


def test_an_empty_folder_is_taken(small_plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    new.check_destination(tmp_path / "x")
    new.apply_new(plan_for(small_plan, tmp_path / "x"))
    assert (tmp_path / "x" / "train.py").is_file()


def make_full_folder(path: Path) -> None:
    path.mkdir()
    (path / "mine.txt").write_text("mine")


def make_and_enter(path: Path) -> None:
    path.mkdir()
    os.chdir(path)


def make_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_full_folder, "not empty"),
        (Path.touch, "is a file"),
        (make_link, "is a link"),
        (lambda path: path.symlink_to("nowhere"), "is a link"),
        (make_and_enter, "current folder"),
    ],
)
def test_a_destination_that_is_taken(
    tmp_path: Path, cwd: Path, make: Any, message: str
) -> None:
    make(tmp_path / "x")
    before = files_under(tmp_path)
    with pytest.raises(UsageError, match=message):
        new.check_destination(tmp_path / "x")
    assert files_under(tmp_path) == before


def test_never_into_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(UsageError, match=r"outside of \.git"):
        new.check_destination(tmp_path / ".git" / "x")
    monkeypatch.chdir(tmp_path / ".git")
    with pytest.raises(UsageError, match=r"outside of \.git"):
        new.check_destination(Path("x"))


def test_a_folder_that_somebody_filled_meanwhile_is_not_touched(
    small_plan: Plan, tmp_path: Path
) -> None:
    make_full_folder(tmp_path / "x")
    with pytest.raises(UsageError, match="meanwhile"):
        new.apply_new(plan_for(small_plan, tmp_path / "x"))
    assert files_under(tmp_path) == ["x", "x/mine.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_leaves_nothing(
    small_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    written = iter(range(5))
    write_file = tree.write_file

    def refuse(path: Path, file: tree.File) -> None:
        if next(written, None) is None:
            raise OSError(code, os.strerror(code))
        write_file(path, file)

    monkeypatch.setattr(tree, "write_file", refuse)
    with pytest.raises(ScaffoldError, match=os.strerror(code)):
        new.apply_new(plan_for(small_plan, tmp_path / "a" / "x"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)],
            capture_output=True,
        ).returncode
    ):
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_plan: Plan, small_disk: Path) -> None:
    with pytest.raises(ScaffoldError, match="No space left"):
        new.apply_new(plan_for(small_plan, small_disk / "x"))
    assert list(small_disk.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="folders have no such mode there")
def test_a_read_only_folder_stays_as_it_is(small_plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir(mode=0o555)
    with pytest.raises(UsageError, match="read-only"):
        new.check_destination(folder)
    done = start("new", "tiny", "x", "--name", "my_digits", cwd=tmp_path)
    assert (done.wait(), list(folder.iterdir())) == (2, [])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write")
def test_a_read_only_parent(small_plan: Plan, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ScaffoldError, match="Permission denied"):
        new.apply_new(plan_for(small_plan, tmp_path / "x"))


def test_what_a_killed_run_left_is_swept_after_an_hour(
    small_plan: Plan, tmp_path: Path
) -> None:
    for name, age in ((".scaffold-new-old", 4000), (".scaffold-new-young", 10)):
        make_full_folder(tmp_path / name)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    new.apply_new(plan_for(small_plan, tmp_path / "x"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".scaffold-new-young", "x"]


def assert_wholly_old_or_new(plan: Plan, folder: Path) -> None:
    if folder.exists():
        assert contents(folder) == planned(plan)


@pytest.mark.parametrize("point", [p for p in fault.POINTS if p.startswith("new.")])
def test_killed_at_a_crash_point(small_plan: Plan, tmp_path: Path, point: str) -> None:
    words = ("new", "tiny", "x", "--name", "my_digits")
    env = {**os.environ, "SCAFFOLD_FAULT": f"{point}:1"}
    killed = start(*words, cwd=tmp_path, env=env)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "x").exists() == (point == "new.renamed")
    assert_wholly_old_or_new(small_plan, tmp_path / "x")
    again = start(*words, cwd=tmp_path)
    again.communicate()
    assert again.returncode == (2 if point == "new.renamed" else 0)
    assert_wholly_old_or_new(small_plan, tmp_path / "x")


def kill_at_random_moments(plan: Plan, tmp_path: Path, count: int) -> None:
    chance = random.Random(0)
    started = time.monotonic()
    start("new", "tiny", "whole", cwd=tmp_path).communicate()
    duration = time.monotonic() - started
    for number in range(count):
        folder = tmp_path / f"x{number}"
        process = start("new", "tiny", folder.name, "--name", "my_digits", cwd=tmp_path)
        time.sleep(chance.uniform(0.3, 1.1) * duration)
        process.kill()
        process.communicate()
        assert_wholly_old_or_new(plan, folder)


def test_killed_at_random_moments(small_plan: Plan, tmp_path: Path) -> None:
    kill_at_random_moments(small_plan, tmp_path, 4)


@pytest.mark.full
def test_killed_at_fifty_random_moments(small_plan: Plan, tmp_path: Path) -> None:
    kill_at_random_moments(small_plan, tmp_path, 50)


def test_a_folder_that_another_one_takes_away_is_not_in_the_way(
    small_plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / ".scaffold-new-gone").symlink_to(tmp_path / "nowhere")
    assert start("new", "tiny", "x", "--name", "my_digits", cwd=tmp_path).wait() == 0
    assert_wholly_old_or_new(small_plan, tmp_path / "x")


def race(plan: Plan, folder: Path) -> None:
    words = ("new", "tiny", folder.name, "--name", "my_digits")
    racers = [start(*words, cwd=folder.parent) for _ in range(2)]
    errors = [racer.communicate()[1] for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 2], errors
    assert_wholly_old_or_new(plan, folder)
    assert not any("Traceback" in error for error in errors)


def test_of_two_that_race_exactly_one_wins(small_plan: Plan, tmp_path: Path) -> None:
    for number in range(2):
        race(small_plan, tmp_path / f"x{number}")


@pytest.mark.full
def test_of_two_that_race_fifty_times_exactly_one_wins(
    small_plan: Plan, tmp_path: Path
) -> None:
    for number in range(50):
        race(small_plan, tmp_path / f"x{number}")
