import ast
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from scaffold import quoting, toml_reader

text = st.text(max_size=50).filter(str.isprintable)
values = st.one_of(
    text,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(text, max_size=4),
)


@given(values)
def test_toml_reads_back_what_was_quoted(value: Any) -> None:
    assert toml_reader.loads(f"x = {quoting.toml(value)}") == {"x": value}


@given(values)
def test_python_reads_back_what_was_quoted(value: Any) -> None:
    read = ast.literal_eval(quoting.python(value))
    assert read == value
    assert type(read) is type(value)


@given(values)
def test_yaml_parsers_read_back_what_was_quoted(value: Any) -> None:
    document = f"x: {quoting.yaml(value)}\n"
    for read in (
        pyyaml.safe_load(document)["x"],
        YAML(typ="safe", pure=True).load(document)["x"],
    ):
        assert read == value
        assert type(read) is type(value)


@pytest.mark.parametrize("word", ["no", "On", "null", "1e5", "0x10", "12:30", "- a"])
def test_text_that_yaml_takes_for_something_else_stays_text(word: str) -> None:
    assert pyyaml.safe_load(quoting.yaml(word)) == word


def test_plain_words_stay_plain_in_yaml() -> None:
    assert quoting.yaml("val_loss") == "val_loss"
