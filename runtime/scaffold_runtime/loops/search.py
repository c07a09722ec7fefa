"""Which checkpoint `ckpt_path` names: a path, `best` or `last`; damaged ones are set aside."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaffold_runtime.archive import load_archive
from scaffold_runtime.checkpoint import read_checkpoint, verify_checkpoint
from scaffold_runtime.errors import CheckpointError, DamagedCheckpointError
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer


def open_checkpoint(trainer: Trainer, ckpt_path: str | None) -> dict[str, Any] | None:
    """The content of what `ckpt_path` names, found by rank 0 for all; None for None.

    The file becomes `trainer.ckpt_path`.

    Raises:
        CheckpointError: there is no such checkpoint, or none that is whole.
    """
    if ckpt_path is None:
        trainer.ckpt_path = None
        return None
    path = trainer.engine.on_rank_zero(lambda: _find(trainer, ckpt_path))
    content = read_checkpoint(path, for_training=trainer.fitting)
    trainer.ckpt_path = str(path)
    return content


def _find(trainer: Trainer, ckpt_path: str) -> Path:
    if ckpt_path not in ("best", "last"):
        return Path(ckpt_path)
    path = _best(trainer) if ckpt_path == "best" else _newest(trainer, "last")
    rank_zero_info(f"ckpt_path={ckpt_path!r} is {path}")
    return path


def _best(trainer: Trainer) -> Path:
    if path := getattr(trainer.checkpoint_callback, "best_model_path", ""):
        return Path(path)
    if trainer.fast_dev_run:
        raise CheckpointError(
            "ckpt_path='best' found no checkpoint: fast_dev_run writes none."
        )
    return _best_of_file(_newest(trainer, "best"))


def _best_of_file(newest: Path) -> Path:
    """The best checkpoint so far, as the newest one's ModelCheckpoint knew it."""
    states = read_checkpoint(newest).get("callbacks", {})
    for key, state in states.items():
        best = key.startswith("ModelCheckpoint") and state.get("best_model_path")
        if best and Path(best).is_file():
            return Path(best)
    return newest


def _newest(trainer: Trainer, asked: str) -> Path:
    """The newest whole checkpoint of this run's folder, or of the run before it.

    Raises:
        CheckpointError: there is none.
    """
    needed = "optimizer_states" if trainer.fitting else "state_dict"
    folders = trainer.checkpoint_folders()
    for folder in folders:
        found = (file for file in folder.glob("*.ckpt") if not file.is_dir())
        files = [file for file in found if not file.name.startswith("damaged-")]
        files.sort(key=lambda file: (_modified(file), file.name), reverse=True)
        if not files:
            continue
        for file in files:
            if _is_whole(file, needed):
                return file
        for_what = "training can go on from" if trainer.fitting else "is whole"
        raise CheckpointError(
            f"ckpt_path={asked!r} found no checkpoint in {folder} that {for_what}: put"
            " back a copy, or start anew without ckpt_path."
        )
    raise CheckpointError(
        f"ckpt_path={asked!r} found no checkpoint in {', '.join(map(str, folders))}: train"
        " first, or give the file's path."
    )


def _modified(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


def _is_whole(file: Path, needed: str) -> bool:
    """Whether a file is sound and has the entry; a damaged one is renamed and named."""
    try:
        if not file.exists():
            raise DamagedCheckpointError(f"{file} is a link to a file that is gone")
        verify_checkpoint(file)
        return needed in load_archive(file, mmap=True)
    except DamagedCheckpointError as error:
        aside = file.with_name(f"damaged-{file.name}")
        with suppress(FileNotFoundError):  # another run may be at work here
            os.replace(file, aside)
        rank_zero_warn(f"{error} It is kept as {aside.name}.")
    except Exception as error:
        rank_zero_warn(f"{file} is passed over: {' '.join(str(error).split())[:200]}")
    return False
