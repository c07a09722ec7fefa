import math

import pytest

from scaffold_runtime.callbacks.progress.layout import (
    MIN_BAR_WIDTH,
    Task,
    arrange,
    format_seconds,
)


def task(total=469, completed=120, seconds=5.0, metrics=None, description="Epoch 3/9"):
    made = Task(description, total)
    made.metrics = metrics or {"loss": 0.12345, "val_acc": 0.98712}
    made.advance(completed, made.started + seconds)
    return made


def rendered(task, width):
    layout = arrange(task, width)
    return [layout.first_line("#" * layout.bar_width), *layout.below]


@pytest.mark.parametrize("width", [*range(30, 200), 1000])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width):
    lines = rendered(task(), width)
    assert all(len(line) <= width for line in lines)
    text = "  ".join(lines)
    for part in ("Epoch 3/9", "120/469", "loss=0.123", "val_acc=0.987"):
        assert part in text


@pytest.mark.parametrize("width", [1, 5, 12, 19])
def test_even_the_narrowest_terminal_shows_what_counts(width):
    text = " ".join(rendered(task(), width))
    assert "Epoch 3/9" in text and "120/469" in text and "loss=0.123" in text


def test_what_gives_way_first():
    """With less and less room: the metrics go below, then bar, times and rate go."""
    full = "120/469  24.0 it/s  0:05<0:15"
    assert rendered(task(), 100)[0].endswith(f"{full}  loss=0.123  val_acc=0.987")
    assert rendered(task(), 60)[0].endswith(full)
    assert "#" * MIN_BAR_WIDTH in rendered(task(), 60)[0]
    assert rendered(task(), 42)[0] == f"Epoch 3/9  {full}"
    assert rendered(task(), 35)[0] == "Epoch 3/9  120/469  24.0 it/s"
    assert rendered(task(), 20)[0] == "Epoch 3/9  120/469"


def test_an_unknown_total():
    lines = rendered(task(total=math.inf), 100)
    assert "  120  24.0 it/s  0:05  " in lines[0]


def test_the_rate_is_a_moving_average():
    made = Task("x", 100)
    start = made.started
    made.advance(10, start + 1)
    assert made.rate() == "10.0 it/s"
    made.advance(30, start + 2)  # 0.3 * 20 + 0.7 * 10
    assert made.rate() == "13.0 it/s"
    assert made.times() == "0:02<0:05"


def test_a_slow_step_is_told_in_seconds():
    assert task(completed=2, seconds=5).rate() == "2.5 s/it"


def test_time_spent_elsewhere_does_not_count():
    made = Task("x", 100)
    start = made.started
    made.advance(10, start + 1)
    made.resume(start + 61)
    made.advance(20, start + 62)
    assert made.rate() == "10.0 it/s"
    assert made.times() == "0:02<0:08"


def test_before_the_first_batch():
    assert rendered(Task("Epoch 0", 10), 60)[0].endswith("0/10  0:00")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (-1, "0:00")],
)
def test_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_metrics_of_any_kind():
    metrics = {"v_num": 3, "lr": 1e-4, "big": 123456.0, "name": "ab12"}
    assert arrange(task(metrics=metrics), 30).below == [
        "v_num=3  lr=0.0001",
        "big=1.23e+05  name=ab12",
    ]


def test_metrics_below_break_between_words_only():
    metrics = {"a": 1, "b": 2, "much-longer": 3}
    assert arrange(task(metrics=metrics), 8).below == ["a=1  b=2", "much-longer=3"]


def test_a_console_without_columns_is_drawn_on():
    assert arrange(task(metrics={"a": 1, "b": 2}), 0).below == ["a=1", "b=2"]
