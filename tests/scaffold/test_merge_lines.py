import random
import shutil
import subprocess
from pathlib import Path

import pytest

from scaffold.merge_lines import marked, merge_lines


def lines(text: str) -> list[str]:
    return [f"{word}\n" for word in text.split()]


def merged(base: str, ours: str, theirs: str) -> str | None:
    chunks = merge_lines(lines(base), lines(ours), lines(theirs))
    if any(chunk.merged is None for chunk in chunks):
        return None
    return " ".join("".join(marked(chunks)).split())


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        ("a b c", "a b c", "a b c", "a b c"),
        ("a b c d e", "x b c d e", "a b c d y", "x b c d y"),
        ("a b c", "a c", "a b c d", "a c d"),
        ("a b c", "x b c", "x b c", "x b c"),
        ("a b c", "x b c", "y b c", None),
        ("a b c", "x b c", "a y c", None),
        ("a b", "a", "a x", None),
        ("", "a", "a", "a"),
        ("", "a", "b", None),
        ("a b c d", "", "a b c d", ""),
    ],
)
def test_merges(base: str, ours: str, theirs: str, result: str | None) -> None:
    assert merged(base, ours, theirs) == result


def test_a_conflict_shows_yours_base_and_scaffold() -> None:
    chunks = merge_lines(["a\n", "b\n"], ["a\n", "x"], ["a\n", "y\n"])
    assert "".join(marked(chunks)) == (
        "a\n<<<<<<< yours\nx\n||||||| base\nb\n=======\ny\n>>>>>>> scaffold\n"
    )


def mutated(chance: random.Random, base: list[str]) -> list[str]:
    changed = list(base)
    for _ in range(chance.randint(0, 4)):
        index, kind = chance.randrange(len(changed) + 1), chance.random()
        if kind < 0.4:
            changed.insert(index, f"new {chance.randrange(50)}\n")
        elif index < len(changed):
            changed[index : index + 1] = (
                [] if kind < 0.7 else [f"changed {chance.randrange(50)}\n"]
            )
    return changed


def compare_with_git(tmp_path: Path, count: int) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    chance = random.Random(1)
    differing = 0
    for _ in range(count):
        base = [f"line {chance.randrange(12)}\n" for _ in range(chance.randint(0, 25))]
        sides = {"ours": mutated(chance, base), "base": base}
        sides["theirs"] = mutated(chance, base)
        for name, side in sides.items():
            (tmp_path / name).write_text("".join(side))
        labels = ["-L", "yours", "-L", "base", "-L", "scaffold"]
        git = subprocess.run(
            ["git", "merge-file", "-p", "--diff3", *labels, *sides],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        chunks = merge_lines(base, sides["ours"], sides["theirs"])
        conflict = any(chunk.merged is None for chunk in chunks)
        if conflict != (git.returncode != 0):
            differing += 1
        elif not conflict:
            assert "".join(marked(chunks)) == git.stdout
    # git matches repeated lines otherwise now and then: whether two changes touch differs.
    assert differing <= count // 100


def test_git_merges_alike(tmp_path: Path) -> None:
    compare_with_git(tmp_path, 100)


@pytest.mark.full
def test_git_merges_600_cases_alike(tmp_path: Path) -> None:
    compare_with_git(tmp_path, 600)
