import json

import pytest

from scaffold import state, toml_reader
from scaffold.errors import ScaffoldError
from scaffold.tree import File, digest

COMPONENT = state.Component("callback", "grad_norm", "starter", {"hooks": ["x"]})
RECORD = state.Record(
    task="tiny",
    version="0.1.0",
    black="26.1",
    package="my_digits",
    vendor=True,
    answers={"title": 'a "b"', "width": 3, "hooks": ["x"]},
)
GENERATED = {"b.py": File(b"b\n"), "a.sh": File(b"#!\n", 0o755), "ü.py": File(b"b\n")}
WIRING = {"edit": "yaml.add_list_item", "item": {"x": [1, 2]}}


def test_project_toml_reads_back() -> None:
    assert toml_reader.loads(RECORD.to_toml()) == {
        "format": 1,
        "task": "tiny",
        "version": "0.1.0",
        "black": "26.1",
        "package": "my_digits",
        "vendor": True,
        "answers": {"title": 'a "b"', "width": 3, "hooks": ["x"]},
    }
    assert state.parse_record(RECORD.to_toml()) == RECORD


def test_components_come_and_go_without_a_trace() -> None:
    added = RECORD.with_component(COMPONENT)
    assert state.parse_record(added.to_toml()) == added
    assert added.component("callback", "grad_norm") is COMPONENT
    assert added.component("logger", "grad_norm") is None
    assert added.without_component(COMPONENT).to_toml() == RECORD.to_toml()


def test_a_component_is_one_line_of_its_own() -> None:
    """Two branches that each add one change different lines."""
    before = set(RECORD.to_toml().splitlines())
    added = set(RECORD.with_component(COMPONENT).to_toml().splitlines())
    assert sum("grad_norm" in line for line in added - before) == 1


@pytest.mark.parametrize(
    "text", ["", "format = 1", "format = ", "format = 'x'", "\0", "components = 3"]
)
def test_a_damaged_project_toml(text: str) -> None:
    with pytest.raises(ScaffoldError, match=r"project\.toml is damaged"):
        state.parse_record(text)


def test_a_project_of_a_newer_generator() -> None:
    text = RECORD.to_toml().replace("format = 1", "format = 2")
    with pytest.raises(ScaffoldError, match="upgrade torch-scaffold"):
        state.parse_record(text)


def test_a_lock_reads_back() -> None:
    lock = state.Lock.of(GENERATED, [WIRING])
    assert state.parse_lock("project", lock.to_json()) == lock
    assert lock.files == {
        "a.sh": (digest(b"#!\n"), 0o755),
        "b.py": (digest(b"b\n"), 0o644),
        "ü.py": (digest(b"b\n"), 0o644),
    }


def test_a_lock_has_a_line_for_each_file_and_edit() -> None:
    text = state.Lock.of(GENERATED, [WIRING]).to_json()
    assert json.loads(text)["wiring"] == [WIRING]
    for path in GENERATED:
        assert sum(f'"{path}"' in line for line in text.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": {"a": 1}, "wiring": []}'])
def test_a_damaged_lock_is_named(text: str) -> None:
    with pytest.raises(ScaffoldError, match=r"lock/project\.json is damaged"):
        state.parse_lock("project", text)


def test_objects_are_the_bytes_under_their_hashes() -> None:
    files = state.state_files(RECORD, {}, [GENERATED])
    objects = {p: f.content for p, f in files.items() if "/objects/" in p}
    assert objects == {
        f".scaffold/objects/{digest(content)}": content for content in (b"b\n", b"#!\n")
    }
