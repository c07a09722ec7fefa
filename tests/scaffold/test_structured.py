from typing import Any

import pytest

from scaffold.structured import BrokenError, load, rewritten, spelled

YAML = """\
# head
a: 1 # one
list:
    - name: x # first
      deep: {y: 2}
    - name: z
text: 'quoted' # keep
"""


@pytest.mark.parametrize(
    ("data", "old", "new"),
    [
        ({"a": 2}, "a: 1", "a: 2"),
        ({"new": True}, "# keep\n", "# keep\nnew: true\n"),
        ({"list": [{"name": "z"}]}, "    - name: x # first\n      deep: {y: 2}\n", ""),
    ],
)
def test_only_what_changed_is_rewritten(data: Any, old: str, new: str) -> None:
    changed = rewritten("a.yaml", YAML, {**load("a.yaml", YAML), **data})
    assert changed == YAML.replace(old, new)


def test_toml_keeps_comments() -> None:
    text = '# head\na = 1 # one\n\n[t]\nb = "x" # two\n'
    assert rewritten("a.toml", text, {"a": 2, "t": {"b": "x", "c": True}}) == (
        '# head\na = 2 # one\n\n[t]\nb = "x" # two\nc = true\n'
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [("a.yaml", "a: ["), ("a.yaml", "a: 1\na: 2\n"), ("a.toml", "a =")],
)
def test_broken_text(path: str, text: str) -> None:
    with pytest.raises(BrokenError, match=path):
        load(path, text)


def test_spelled_tells_what_python_does_not() -> None:
    assert len({spelled(value) for value in (1, 1.0, True, "1", [1], None)}) == 6
    assert spelled({"a": 1, "b": 2}) == spelled({"b": 2, "a": 1})
