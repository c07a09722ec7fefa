from typing import Any

import pytest

from scaffold.merge_data import DataConflict, merge_data

A, B, C = {"class": "a", "x": 1}, {"class": "b"}, {"class": "c"}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        ({"x": 1}, {"x": 2}, {"x": 1, "y": 3}, {"x": 2, "y": 3}),
        ({"x": 1, "y": 2}, {"y": 2}, {"x": 1, "y": 3}, {"y": 3}),
        ({"x": 1, "y": 2}, {"x": 1, "y": 2}, {"y": 2}, {"y": 2}),
        (
            {"a": {"x": 1}},
            {"a": {"x": 1, "y": 2}},
            {"a": {"x": 3}},
            {"a": {"x": 3, "y": 2}},
        ),
        ({}, {"x": 1}, {"x": 1}, {"x": 1}),
        ({"x": 1}, {"x": True}, {"x": 1}, {"x": True}),
        ([A, A], [A, {**A, "x": 2}], [B, A, A], [B, A, {**A, "x": 2}]),
        ([A, A], [A, {**A, "x": 2}], [A, B, A], [A, B, {**A, "x": 2}]),
        ([A, B], [A], [A, B, C], [A, C]),
        ([A], [{**A, "y": 1}], [{**A, "x": 2}], [{**A, "x": 2, "y": 1}]),
    ],
)
def test_both_sides_changes_are_there(
    base: Any, ours: Any, theirs: Any, result: Any
) -> None:
    assert merge_data(base, ours, theirs) == result


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"x": 1}, {"x": 2}, {"x": 3}),
        ({"x": 1}, {}, {"x": 3}),
        ({}, {"x": 1}, {"x": 2}),
        ([A], [A, B], [A, C]),
        ([A, B], [C], [A, {"class": "d"}]),
    ],
)
def test_one_value_changed_twice_is_a_conflict(
    base: Any, ours: Any, theirs: Any
) -> None:
    with pytest.raises(DataConflict):
        merge_data(base, ours, theirs)
