import json

from scaffold import state, toml_reader
from scaffold.tree import File, digest

PROJECT = state.Project(
    task="tiny",
    version="0.1.0",
    black="26.1",
    package="my_digits",
    vendor=True,
    answers={"title": 'a "b"', "width": 3, "hooks": ["x"]},
)
GENERATED = {"b.py": File(b"b\n"), "a.sh": File(b"#!\n", 0o755), "ü.py": File(b"b\n")}


def test_project_toml_reads_back() -> None:
    assert toml_reader.loads(PROJECT.to_toml()) == {
        "format": 1,
        "task": "tiny",
        "version": "0.1.0",
        "black": "26.1",
        "package": "my_digits",
        "vendor": True,
        "answers": {"title": 'a "b"', "width": 3, "hooks": ["x"]},
    }


def test_the_lock_has_a_line_for_each_file() -> None:
    [(path, file)] = state.lock_file("project", GENERATED).items()
    assert path == ".scaffold/lock/project.json"
    assert json.loads(file.content) == {
        "a.sh": {"sha256": digest(b"#!\n"), "mode": "0755"},
        "b.py": {"sha256": digest(b"b\n"), "mode": "0644"},
        "ü.py": {"sha256": digest(b"b\n"), "mode": "0644"},
    }
    assert len(file.content.splitlines()) == len(GENERATED) + 2


def test_objects_are_the_bytes_under_their_hashes() -> None:
    assert {path: file.content for path, file in state.objects(GENERATED).items()} == {
        f".scaffold/objects/{digest(b'b' + bytes([10]))}": b"b\n",
        f".scaffold/objects/{digest(b'#!' + bytes([10]))}": b"#!\n",
    }


def test_vendored_files_are_recorded_by_hash_only() -> None:
    vendored = {"vendor/x/a.py": File(b"vendored\n")}
    files = state.state_of_new(PROJECT, GENERATED, vendored)
    assert ".scaffold/lock/runtime.json" in files
    assert f".scaffold/objects/{digest(b'vendored' + bytes([10]))}" not in files
