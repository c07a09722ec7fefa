"""Checkpoint files: written whole or not at all, verified and read as data only."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scaffold_runtime.errors import CheckpointError, DamagedCheckpointError
from scaffold_runtime.fault import crash_point

STAGED = ".part"


def write_checkpoint(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint in torch's zip format, so that it stands whole or not at all.

    The file is staged beside its target, flushed to the disk, and renamed.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written.
    """
    target = Path(path)
    staged = target.with_name(f".{target.name}.{os.getpid()}{STAGED}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(staged, "wb") as file:
            crash_point("checkpoint.staging")
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        crash_point("checkpoint.staged")
        os.replace(staged, target)
        crash_point("checkpoint.renamed")
        _flush_folder(target.parent)
    except (OSError, RuntimeError) as error:
        raise _not_written(content, target, error) from error
    finally:
        with suppress(OSError):
            staged.unlink()


class BackgroundWriter:
    """Does file work in a thread of its own, one after the other; the process waits for it.

    After an error what was to follow is left undone, and the error waits for `check`.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._last: Future[None] | None = None
        self._error: Exception | None = None

    def submit(self, work: Callable[[], object]) -> None:
        """Add work to what is to be done."""
        self._last = self._pool.submit(self._run, work)

    def _run(self, work: Callable[[], object]) -> None:
        if self._error is None:
            try:
                work()
            except Exception as error:
                self._error = error

    def check(self) -> None:
        """Raise the error of work that has failed."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def finish(self) -> None:
        """Wait until everything is done, and raise the error of what has failed."""
        if self._last is not None:
            self._last.result()
        self.check()


def copy_to_cpu(value: Any) -> Any:
    """A copy of a nest of plain data, which training may go on to change."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copy_to_cpu(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(copy_to_cpu, value))
    return value


def remove_staged(folder: str | os.PathLike[str]) -> None:
    """Remove what a killed process has staged in a folder that nobody else writes to."""
    for left_over in Path(folder).glob(f".*{STAGED}"):
        left_over.unlink(missing_ok=True)


def _not_written(
    content: Mapping[str, Any], target: Path, error: Exception
) -> CheckpointError:
    """The sentence for a checkpoint that could not be written."""
    cause = error if isinstance(error, OSError) else error.__context__
    needed = _tensor_bytes(content)
    folder = next((p for p in target.parents if p.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    if getattr(cause, "errno", None) == errno.ENOSPC or free < needed:
        return CheckpointError(
            f"The disk is full: {target} needs about {needed:,} bytes and {free:,} are"
            " free; the checkpoints before it are good. Make room and save again."
        )
    return CheckpointError(f"The checkpoint {target} could not be written: {error}.")


def _tensor_bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_tensor_bytes, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_tensor_bytes, value))
    return 0


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_checkpoint(
    path: str | os.PathLike[str], map_location: Any = "cpu"
) -> dict[str, Any]:
    """Verify a checkpoint's checksums and read it as plain data; nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than plain data.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(
            f"There is no checkpoint {file}: check the path, or train first."
        )
    verify_checkpoint(file)
    try:
        content = torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"The checkpoint {file} holds more than plain data, so it was not loaded"
            f" ({reason}): keep only tensors, numbers, strings and nests of them in it."
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, TypeError) as error:
        raise DamagedCheckpointError(
            f"The checkpoint {file} is damaged ({error}): use an earlier one."
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f"The checkpoint {file} holds a {type(content).__name__} and no dictionary:"
            " was it written by Trainer.save_checkpoint?"
        )
    return content


def verify_checkpoint(path: Path) -> None:
    """Compare a checkpoint's content with the checksums that were written with it.

    Raises:
        CheckpointError: the file is truncated or one of its bits has changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip() or _false_folder(archive)
    except Exception as error:  # damaged bytes make zipfile raise almost anything
        raise DamagedCheckpointError(
            f"The checkpoint {path} is damaged ({error}): use an earlier one."
        ) from None
    if damaged is not None:
        raise DamagedCheckpointError(
            f"The checkpoint {path} is damaged (the checksum of {damaged} is wrong):"
            " use an earlier one."
        )


def _false_folder(archive: zipfile.ZipFile) -> str | None:
    """An entry whose attributes say folder: torch would take memory as it is for its content."""
    folders = (i.filename for i in archive.infolist() if i.external_attr & 0x10)
    return next(folders, None)


def check_shapes(module: nn.Module, state: Mapping[str, Any], path: str) -> None:
    """Compare a state's shapes with the module's before anything is copied.

    Raises:
        CheckpointError: a tensor has another shape than the module's.
    """
    for name, own in module.state_dict().items():
        saved = state.get(name)
        if not isinstance(saved, torch.Tensor) or not isinstance(own, torch.Tensor):
            continue
        if saved.shape != own.shape and not nn.parameter.is_lazy(own):
            raise CheckpointError(
                f"{name} has shape {tuple(saved.shape)} in {path} and {tuple(own.shape)} in"
                " the model: build the model with the hyperparameters it was saved with."
            )
