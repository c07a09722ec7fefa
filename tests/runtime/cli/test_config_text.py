import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold_runtime.cli.config_text import load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("{lr: 1e-3, eps: 1E8, n: 10}", {"lr": 1e-3, "eps": 1e8, "n": 10}),
        ("a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        (
            "base: &b {x: 1}\nmore: {<<: *b, x: 2}\n",
            {"base": {"x": 1}, "more": {"x": 2}},
        ),
        ("# nothing yet\n", {}),
        ("on: 2020-01-01", {True: "2020-01-01"}),
    ],
)
def test_values(text, value):
    assert load(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key a stands in line 1 and again in line 3"),
        ("x: [{a: 1, a: 1}]", "the key a stands"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 5000, "nested too deeply"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n"
                for old, new in zip("abcdef", "bcdefg", strict=True)
            ),
            "more than 100000 values",
        ),
        ("!!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("a: [", "expected"),
    ],
    ids=["twice", "nested", "endless", "deep", "huge", "object", "broken"],
)
def test_refused(text, reason):
    with pytest.raises(yaml.YAMLError, match=reason):
        load(text)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", categories=["L", "N", "Z"]), max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("xyz", min_size=1), plain, min_size=1))
def test_what_json_writes_is_read_back(value):
    if any(item is not None for item in value.values()):
        assert load(json.dumps(value)) == value
