"""What several ranks must agree on, seen by two processes on Gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''
import json, os, sys
import torch, scaffold_runtime as L
from pathlib import Path
from scaffold_runtime.callbacks import *
from scaffold_runtime.loggers import CSVLogger
from tests.runtime.callbacks.conftest import Net

out = Path(sys.argv[1])

class Uneven(Net):
    """Each rank logs another val_loss: only rank 1's stops improving."""
    def validation_step(self, batch, batch_idx):
        worse = self.global_rank * 2 * self.current_epoch
        self.log("val_loss", 10.0 - self.current_epoch + worse)

class Writer(BasePredictionWriter):
    def write_on_epoch_end(self, trainer, pl_module, predictions, batch_indices):
        seen["indices"] = batch_indices

seen = {}
torch.manual_seed(0)
logger = CSVLogger(out, name="logs")
checkpoint = ModelCheckpoint(monitor="val_loss", filename="{epoch}", save_last=True)
stop = EarlyStopping("val_loss", patience=2)
average = EMAWeightAveraging(decay=0.5)
options = dict(accelerator="cpu", devices=2, strategy="ddp", default_root_dir=out,
               num_sanity_val_steps=0)
trainer = L.Trainer(max_epochs=6, logger=logger,
                    callbacks=[checkpoint, stop, average], **options)
model = Uneven()
trainer.fit(model)
seen |= {
    "version": logger.version,
    "dirpath": checkpoint.dirpath,
    "best": checkpoint.best_model_path,
    "last": checkpoint.last_model_path,
    "epochs": trainer.current_epoch,
    "weights": model.layer.weight.flatten().tolist(),
}
writer = Writer("epoch")
L.Trainer(callbacks=[writer], logger=False, **options).predict(model)
(out / f"rank{trainer.global_rank}.json").write_text(json.dumps(seen))
'''


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two ranks saw, and the folder they ran in."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize(
    "what", ["version", "dirpath", "best", "last", "epochs", "weights"]
)
def test_the_ranks_agree(ranks, what):
    assert ranks[0][what] == ranks[1][what]


def test_the_first_version_is_0_on_both(ranks):
    assert ranks[1]["version"] == 0
    assert "version_0" in ranks[1]["dirpath"]


def test_one_rank_stops_all(ranks):
    assert ranks[0]["epochs"] == 3


def test_files_are_written_once(ranks):
    folder = Path(ranks[0]["dirpath"])
    assert {path.name for path in folder.iterdir()} == {"epoch=0.ckpt", "last.ckpt"}


def test_predictions_know_their_samples(ranks):
    indices = [
        [index for batch in rank["indices"][0] for index in batch] for rank in ranks
    ]
    assert sorted(indices[0] + indices[1]) == list(range(32))
