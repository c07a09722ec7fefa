import pytest

from scaffold import wiring
from scaffold.errors import ScaffoldError, TemplateError
from scaffold.tree import File

TABLE = {
    "edit": "yaml.add_list_item",
    "file": "c.yaml",
    "key": "trainer.callbacks",
    "item": {"class_path": "p.G"},
}
EDIT = wiring.parse(TABLE)


@pytest.mark.parametrize(
    "change", [{"edit": "yaml.sort"}, {"edit": None}, {"colour": "red"}]
)
def test_an_unknown_edit_is_the_template_s_fault(change: dict[str, object]) -> None:
    with pytest.raises(TemplateError, match=r"wiring\.toml"):
        wiring.parse({**TABLE, **change})


def test_line_endings_and_permissions_stay() -> None:
    before = File(b"trainer:\r\n  x: 1\r\n", 0o755)
    after = wiring.apply(EDIT, before)
    assert after == File(
        b"trainer:\r\n  x: 1\r\n  callbacks:\r\n    - class_path: p.G\r\n", 0o755
    )
    assert wiring.is_there(EDIT, after)


def test_applying_twice_changes_nothing() -> None:
    once = wiring.apply(EDIT, File(b"trainer:\n  x: 1\n"))
    assert wiring.apply(EDIT, once) is once


def test_what_the_user_changed_is_not_reverted() -> None:
    text = b"trainer:\n  callbacks:\n    - class_path: p.G\n      init_args: {x: 1}\n"
    with pytest.raises(wiring.ShapeError):
        wiring.apply(EDIT, File(text), revert=True)


@pytest.mark.parametrize("text", [b"trainer: [", b"a: 1\na: 2\n", b"\tx"])
def test_broken_yaml_is_one_sentence(text: bytes) -> None:
    with pytest.raises(ScaffoldError, match=r"c\.yaml is broken") as error:
        wiring.apply(EDIT, File(text))
    assert str(error.value).isprintable()


def test_broken_python_is_one_sentence() -> None:
    table = {"edit": "py.add_import", "file": "m.py", "statement": "from a import b"}
    with pytest.raises(ScaffoldError, match=r"m\.py is broken") as error:
        wiring.apply(wiring.parse(table), File(b"def f(:\n"))
    assert str(error.value).isprintable()


def test_wire_leaves_out_what_has_no_place() -> None:
    files = {"c.yaml": File(b"x: 1\n")}
    assert wiring.wire(files, [EDIT]) == files
    assert wiring.wire({}, [EDIT]) == {}
