"""{{ class_name }}: its splits, its batches, and the shares of two processes."""

{% include 'parts/' ~ source ~ '-test-imports' %}

import scaffold_runtime as L
{% include 'parts/' ~ source ~ '-test-packages' %}
from torch import Tensor

from {{ package }}.{{ name }} import {{ class_name }}

PROJECT = Path(__file__).parents[1]


class Look(L.LightningModule):
    """Writes down which images its process sees in a test."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.seen: list[str] = []

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        images, _ = batch
        self.seen += map(name, images)

    def on_test_end(self) -> None:
        (self.folder / str(self.global_rank)).write_text("\n".join(self.seen))


def name(image: Tensor) -> str:  # (C, H, W)
    """What no other image is called."""
    return str(image.flatten().tolist())


{% include 'parts/' ~ source ~ '-test' %}


def test_no_image_is_in_two_splits(tmp_path: Path) -> None:
    splits = {{ class_name }}(make(tmp_path)).splits
    seen = [name(split[i][0]) for split in splits.values() for i in range(len(split))]
    assert len(seen) == len(set(seen)) == IMAGES
    assert all(len(set(split.labels)) == 3 for split in splits.values())


def test_the_last_batch_has_the_rest(tmp_path: Path) -> None:
    data = {{ class_name }}(make(tmp_path), batch_size=8)
    sizes = [len(labels) for _, labels in data.train_dataloader()]
    rest = len(data.splits["train"]) % 8
    assert rest > 0
    assert sizes == [8] * (len(sizes) - 1) + [rest]


def test_two_processes_see_each_image_once(tmp_path: Path) -> None:
    path = make(tmp_path)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, __file__, str(path), str(tmp_path)],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / rank).read_text().splitlines() for rank in "01")
    test = {{ class_name }}(path).splits["test"]
    assert sorted(first + second) == sorted(name(test[i][0]) for i in range(len(test)))
    assert len(first) - len(second) in (0, 1)


def look(path: Path, folder: Path) -> None:
    """What each of the two processes does."""
    trainer = L.Trainer(
        accelerator="cpu", strategy="ddp", logger=False, enable_progress_bar=False
    )
    trainer.test(Look(folder), {{ class_name }}(path, batch_size=8))


if __name__ == "__main__":
    look(Path(sys.argv[1]), Path(sys.argv[2]))
