from pathlib import Path

import pytest

from scaffold import interview
from scaffold.errors import UsageError
from scaffold.template import Template


def test_sets_are_typed_by_the_questions(tiny: Template) -> None:
    settings = ["width=64", "title=a=b", "launchers=no", "hooks=on_fit_end"]
    assert interview.parse_sets(tiny, settings) == {
        "width": 64,
        "title": "a=b",
        "launchers": False,
        "hooks": ["on_fit_end"],
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["width"], "key=value"),
        (["width=1", "width=2"], "at least|twice"),
        (["width=9", "width=9"], "twice"),
        (["depth=9"], "asks no question 'depth'"),
        (["=9"], "asks no question"),
        (["width=wide"], "expected an integer"),
    ],
)
def test_bad_sets(tiny: Template, settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        interview.parse_sets(tiny, settings)


def answers_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "answers.yaml"
    path.write_bytes(content)
    return path


def test_an_answers_file(tiny: Template, tmp_path: Path) -> None:
    path = answers_file(tmp_path, b"width: 64\nrate: 1\nhooks: [on_fit_end]\n")
    assert interview.read_answers_file(tiny, path) == {
        "width": 64,
        "rate": 1.0,
        "hooks": ["on_fit_end"],
    }
    assert interview.read_answers_file(tiny, answers_file(tmp_path, b"")) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"width: [", "broken YAML at line 1"),
        (b"width: 9\nwidth: 9\n", "broken YAML"),
        (b"\x00", "broken YAML|UTF-8"),
        (b"\xff\xfe", "UTF-8"),
        (b"- width\n", "key: value"),
        (b"width\n", "key: value"),
        (b"1: 2\n", "asks no question '1'"),
        (b"width: '9'\n", "expected an integer"),
        (b"width:\n", "expected an integer"),
        (b"title: !!python/object/apply:os.system ['true']\n", "broken YAML"),
        (b"title: 2020-01-01\n", "expected text"),
        (b"title: {a: b}\n", "expected text"),
        (b'title: "a\\nb"\n', "one line"),
        (b"a: &a [*a]\n", "asks no question"),
    ],
)
def test_bad_answers_files(
    tiny: Template, tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        interview.read_answers_file(tiny, answers_file(tmp_path, content))
    assert str(error.value).isprintable()


def test_a_missing_answers_file(tiny: Template, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        interview.read_answers_file(tiny, tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot read"):
        interview.read_answers_file(tiny, tmp_path)


def test_a_person_is_asked_only_what_is_open(
    tiny: Template, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = iter(["no", "4", "64", "", "folder", ""])
    asked: list[str] = []

    def reply(prompt: str) -> str:
        asked.append(prompt)
        return next(replies)

    monkeypatch.setattr("builtins.input", reply)
    assert interview.ask_the_rest(tiny, {"title": "given"}) == {
        "launchers": False,
        "title": "given",
        "width": 64,
        "rate": 0.1,
        "data": "folder",
        "hooks": ["on_fit_start"],
    }
    assert "expected at least 8" in capsys.readouterr().out
    assert asked[4] == "Where the images come from (digits, folder) [digits]: "


def test_nobody_is_asked_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("CI", raising=False)
    assert interview.may_prompt()
    monkeypatch.setenv("CI", "true")
    assert not interview.may_prompt()
