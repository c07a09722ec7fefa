import pytest

from scaffold.formatting import Style
from scaffold.merge import merge
from scaffold.tree import File


def merged(path: str, base: str, ours: str, theirs: str) -> tuple[str, bool]:
    files = [File(text.encode()) for text in (base, ours, theirs)]
    result = merge(path, files[0], files[1], files[2], Style())
    assert result.file is not None
    return result.file.content.decode(), result.conflict


def test_python_is_merged_by_lines() -> None:
    assert merged(
        "a.py", "a = 1\n\nb = 2\n", "a = 1\n\nb = 3\n", "a = 9\n\nb = 2\n"
    ) == (
        "a = 9\n\nb = 3\n",
        False,
    )


def test_a_merge_that_does_not_parse_is_one_conflict() -> None:
    """Each side is valid, and their lines merge; the whole is not Python."""
    base = "if x:\n    a()\n    # then\n    b()\ny = 1\n"
    ours, theirs = base.replace("    a()\n", ""), base.replace("    b()\n", "")
    text, conflict = merged("a.py", base, ours, theirs)
    assert conflict
    assert text == (
        f"<<<<<<< yours\n{ours}||||||| base\n{base}=======\n{theirs}>>>>>>> scaffold\n"
    )


def test_yaml_is_merged_by_key_where_lines_touch() -> None:
    base = "trainer:\n  max_epochs: 3\n  precision: 32\n"
    ours = "# mine\ntrainer:\n  max_epochs: 9 # long\n  precision: 32\n"
    theirs = "trainer:\n  max_epochs: 3\n  precision: 16\n  devices: 1\n"
    assert merged("a.yaml", base, ours, theirs) == (
        "# mine\ntrainer:\n  max_epochs: 9 # long\n  precision: 16\n  devices: 1\n",
        False,
    )


def test_toml_is_merged_by_key_where_lines_touch() -> None:
    base = 'a = 1\nb = 2\n\n[t]\nxs = ["x"]\n'
    ours = 'a = 5 # mine\nb = 2\n\n[t]\nxs = ["x", "mine"]\n'
    theirs = 'a = 1\nb = 3\n\n[t]\nxs = ["x"]\nnew = true\n'
    assert merged("a.toml", base, ours, theirs) == (
        'a = 5 # mine\nb = 3\n\n[t]\nxs = ["x", "mine"]\nnew = true\n',
        False,
    )


def test_both_comments_stay_where_lines_merge() -> None:
    base = "a: 1\nb: 2\nc: 3\nd: 4\n"
    ours, theirs = base.replace("a: 1", "a: 1 # mine"), base.replace(
        "d: 4", "d: 5 # new"
    )
    assert merged("a.yaml", base, ours, theirs) == (
        "a: 1 # mine\nb: 2\nc: 3\nd: 5 # new\n",
        False,
    )


def test_a_comment_of_the_user_s_is_not_lost_with_its_key() -> None:
    base = "a: 1\nlist:\n  - x\n"
    ours = "a: 1\nlist:\n  - x\n  # mine\n"
    text, conflict = merged("a.yaml", base, ours, "a: 1\n")
    assert conflict
    assert "# mine" in text


def test_lines_that_merge_to_a_key_set_twice_do_not_count() -> None:
    base = "a: 1\nb: 2\nc: 3\n"
    ours, theirs = f"x: 1\n{base}", f"{base}x: 1\n"
    text, conflict = merged("a.yaml", base, ours, theirs)
    assert not conflict
    assert text.count("x: 1") == 1


@pytest.mark.parametrize("path", ["a.yaml", "a.toml"])
def test_one_value_changed_twice_is_a_conflict(path: str) -> None:
    sign = "=" if path.endswith("toml") else ":"
    base, ours, theirs = (f"a{sign} {n}\n" for n in (1, 2, 3))
    text, conflict = merged(path, base, ours, theirs)
    assert conflict
    assert "<<<<<<< yours" in text


@pytest.mark.parametrize("broken", ["a: [", "a: 1\na: 2\n"])
def test_yaml_that_the_user_broke_is_merged_by_lines_or_not(broken: str) -> None:
    text, conflict = merged("a.yaml", "a: 1\n", broken, "a: 1\nb: 2\n")
    assert conflict
    assert all(line in text for line in [*broken.splitlines(), "b: 2"])


def test_binaries_are_not_merged() -> None:
    files = [File(b"\0" + bytes([n])) for n in range(3)]
    result = merge("a.bin", files[0], files[1], files[2], Style())
    assert (result.file, result.conflict) == (None, True)


def test_bytes_that_are_no_utf8_survive() -> None:
    result = merge(
        "a.txt", File(b"\xe9\n\nb\n"), File(b"\xe9\n\nc\n"), File(b"x\n\nb\n"), Style()
    )
    assert result.file == File(b"x\n\nc\n")
    result = merge(
        "a.txt",
        File(b"\xe9\n\nb\n"),
        File(b"\xe9\n\nc\n"),
        File(b"\xe9\nx\n\nb\n"),
        Style(),
    )
    assert result.file == File(b"\xe9\nx\n\nc\n")


def test_line_endings_and_permissions_are_the_user_s() -> None:
    result = merge(
        "a.sh",
        File(b"a\n\nb\n", 0o644),
        File(b"a\r\n\r\nc\r\n", 0o755),
        File(b"x\n\nb\n", 0o644),
        Style(),
    )
    assert result.file == File(b"x\r\n\r\nc\r\n", 0o755)
