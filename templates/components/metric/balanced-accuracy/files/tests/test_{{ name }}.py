"""{{ class_name }}, beside its definition, on one process and on two."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, distributed

from {{ package }}.{{ name }} import {{ class_name }}

CLASSES = 5


def samples() -> tuple[Tensor, Tensor]:
    """Scores and labels of 33 samples; the last class is in none of them."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES - 1, (33,), generator=random)
    scores = torch.rand(33, CLASSES, generator=random)
    scores[torch.arange(33), labels] += 0.4
    return scores, labels


def reference() -> float:
    """The definition, sample by sample."""
    right: dict[int, list[bool]] = {}
    for scores, label in zip(*samples(), strict=True):
        answer = scores.tolist().index(max(scores.tolist()))
        right.setdefault(int(label), []).append(answer == int(label))
    return sum(sum(hits) / len(hits) for hits in right.values()) / len(right)


def count(metric: {{ class_name }}, first: int, last: int) -> None:
    """Update the metric with some of the samples, in batches of 7."""
    scores, labels = samples()
    for start in range(first, last, 7):
        batch = slice(start, min(start + 7, last))
        metric.update(scores[batch], labels[batch])


def count_a_share(rank: int, folder: Path) -> None:
    """What each of two processes does: the first has 10 samples, the second the rest."""
    meeting = (folder / "meeting").as_uri()
    distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    metric = {{ class_name }}(CLASSES)
    count(metric, *((0, 10), (10, 33))[rank])
    (folder / str(rank)).write_text(str(float(metric.compute())))
    distributed.destroy_process_group()


def test_batches_add_up_to_the_definition() -> None:
    metric = {{ class_name }}(CLASSES)
    for _ in range(2):
        count(metric, 0, 33)
        assert abs(float(metric.compute()) - reference()) < 1e-6
        metric.reset()


def test_two_processes_add_up_to_the_definition(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(count_a_share, range(2), [tmp_path] * 2))
    for rank in range(2):
        assert abs(float((tmp_path / str(rank)).read_text()) - reference()) < 1e-6
