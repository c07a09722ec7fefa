from typing import Any

import pytest

from scaffold.errors import TemplateError, UsageError
from scaffold.question import Question, read_question


def question(default: Any, **rules: Any) -> Question:
    return Question(name="q", help="A question", default=default, **rules)


@pytest.mark.parametrize(
    ("default", "text", "answer"),
    [
        ("a", "b c", "b c"),
        (1, "-3", -3),
        (0.5, "1e-3", 0.001),
        (0.5, "2", 2.0),
        (True, "no", False),
        (False, "TRUE", True),
        (["a"], "x, y", ["x", "y"]),
        (["a"], "", []),
    ],
)
def test_text_becomes_an_answer_of_the_default_s_type(
    default: Any, text: str, answer: Any
) -> None:
    parsed = question(default).parse(text)
    assert parsed == answer
    assert type(parsed) is type(answer)


@pytest.mark.parametrize(
    ("default", "text"),
    [
        (1, "1.5"),
        (1, "many"),
        (0.5, "nan"),
        (0.5, "inf"),
        (0.5, "fast"),
        (True, "perhaps"),
        ("a", "two\nlines"),
        ("a", "\x1b[31mred"),
        ("a", "line\u2028break"),
        ("a", "x" * 301),
        (["a"], "b\x00"),
    ],
)
def test_text_that_is_no_answer_is_refused_in_one_line(default: Any, text: str) -> None:
    with pytest.raises(UsageError, match="'q'") as error:
        question(default).parse(text)
    assert str(error.value).isprintable()


def test_choices() -> None:
    asked = question("digits", choices=("digits", "folder"))
    assert asked.parse("folder") == "folder"
    with pytest.raises(UsageError, match="did you mean 'folder'"):
        asked.parse("foldr")


def test_range_includes_its_ends() -> None:
    asked = question(32, min=8, max=64)
    assert asked.parse("8") == 8
    assert asked.parse("64") == 64
    for text in ("7", "65"):
        with pytest.raises(UsageError, match="expected at"):
            asked.parse(text)


def test_pattern_must_match_the_whole_text() -> None:
    asked = question("a1", pattern="[a-z][0-9]")
    assert asked.parse("b2") == "b2"
    with pytest.raises(UsageError, match="matches"):
        asked.parse("b22")


@pytest.mark.parametrize("answer", ["3", 3.0, True, None, [3], {}])
def test_an_answer_of_another_type_is_refused(answer: object) -> None:
    with pytest.raises(UsageError, match="expected an integer"):
        question(1).check(answer)


def test_an_integer_answers_a_number_question() -> None:
    assert question(0.5).check(2) == 2.0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"default": 1}, "help"),
        ({"help": "h"}, "default"),
        ({"help": "h", "default": 1, "minimum": 0}, "minimum"),
        ({"help": "h", "default": 1, "min": 2}, "at least 2"),
        ({"help": "h", "default": "a", "choices": ["b"]}, "choose|did you mean"),
        ({"help": "h", "default": {}}, "type"),
    ],
)
def test_a_broken_description_is_the_template_s_fault(
    table: dict[str, Any], message: str
) -> None:
    with pytest.raises(TemplateError, match=message) as error:
        read_question("width", table, "tiny/template.toml")
    assert "tiny/template.toml" in str(error.value)
