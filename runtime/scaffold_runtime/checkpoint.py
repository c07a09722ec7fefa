"""Checkpoint files: written whole or not at all, verified and read as data only."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from scaffold_runtime.archive import (
    NotPlainError,
    foreign_kind,
    inflated,
    leaves,
    load_archive,
    verify_archive,
)
from scaffold_runtime.errors import (
    CheckpointError,
    DamagedCheckpointError,
    MisconfigurationError,
    NoCheckpointError,
    UserError,
)
from scaffold_runtime.fault import crash_point
from scaffold_runtime.hyperparameters import DATA_VALUES_KEY, VALUES_KEY
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.sharded import INDEX, read_folder

STAGED = ".part"
# The types of those entries that a run reads.
_ENTRIES: dict[str, type] = {
    "state_dict": dict,
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    VALUES_KEY: dict,
    DATA_VALUES_KEY: dict,
}


def write_checkpoint(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint in torch's zip format, so that it stands whole or not at all.

    The file is staged beside its target, flushed to the disk, and renamed.

    Raises:
        CheckpointError: the disk is full, the folder cannot be written, or the content
            holds what cannot be saved.
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
    except Exception as error:  # a disk's, or what pickle says of the user's object
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

    def submit(self, work: Callable[[], object]) -> None:
        """Add work to what is to be done."""
        before = self._last

        def run() -> None:
            if before is not None:
                before.result()
            work()

        self._last = self._pool.submit(run)

    def check(self) -> None:
        """Raise the error of work that has failed."""
        if self._last is not None and self._last.done():
            self.finish()

    def finish(self) -> None:
        """Wait until everything is done, and raise the error of what has failed."""
        last, self._last = self._last, None
        if last is not None:
            last.result()


def copy_to_cpu(content: dict[str, Any]) -> dict[str, Any]:
    """A copy of a checkpoint's content, which training may go on to change."""
    return dict(
        tree_map_only(torch.Tensor, lambda t: t.detach().to("cpu", copy=True), content)
    )


def remove_staged(folder: str | os.PathLike[str]) -> None:
    """Remove what a killed process has staged in a folder that nobody else writes to."""
    for left_over in Path(folder).glob(f".*{STAGED}"):
        left_over.unlink(missing_ok=True)


def _not_written(
    content: Mapping[str, Any], target: Path, error: Exception
) -> CheckpointError:
    """The sentence for a checkpoint that could not be written."""
    cause = error if isinstance(error, OSError) else error.__context__
    tensors = (leaf for leaf in leaves(content) if isinstance(leaf, torch.Tensor))
    needed = sum(tensor.nbytes for tensor in tensors)
    folder = next((p for p in target.parents if p.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    if getattr(cause, "errno", None) == errno.ENOSPC or free < needed:
        return CheckpointError(
            f"The disk is full: {target} needs about {needed:,} bytes and {free:,} are"
            " free; the checkpoints before it are good. Make room and save again."
        )
    return CheckpointError(f"The checkpoint {target} could not be written: {error}.")


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
    path: str | os.PathLike[str] | IO[bytes],
    map_location: Any = "cpu",
    for_training: bool = True,
) -> dict[str, Any]:
    """Verify a checkpoint's checksums and read it as plain data; nothing in it is executed.

    Args:
        path: a file, ours or Lightning's, by its path or opened, or a folder of
            `torch.distributed.checkpoint`.
        map_location: where its tensors go, as for `torch.load`.
        for_training: False needs the weights only: what is not plain data in an entry
            beside them is left out. In hyperparameters it always is, by name.

    Raises:
        CheckpointError: it is missing, damaged, or holds more than plain data.
    """
    source = Path(path) if isinstance(path, (str, os.PathLike)) else path.read()
    name = source if isinstance(source, Path) else Path(getattr(path, "name", "bytes"))
    if source is name and not (name.is_file() or (name / INDEX).exists()):
        raise NoCheckpointError(
            f"There is no checkpoint {name}: check the path, or train first."
        )
    with _naming(name):
        if source is name and name.is_dir():
            content = read_folder(name, map_location)
        else:
            verify_archive(source)
            content = load_archive(source, map_location)
        return _plain_entries(content, name, for_training)


@contextmanager
def fitting(what: str, path: object) -> Iterator[None]:
    """One sentence for a state that is not what its reader expects."""
    try:
        yield
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(
            f"{what} in {path} does not fit ({reason}): use what it was saved from, say"
            f" with --config {_config_of(path)}."
        ) from error


def _config_of(path: object) -> str:
    """The config of the run that wrote a checkpoint; what to look for if it is not there."""
    config = Path(str(path)).parent.parent / "config.yaml"
    return str(config) if config.is_file() else "and its run's config"


def verify_checkpoint(path: Path) -> None:
    """Compare a checkpoint's content with the checksums that were written with it.

    Raises:
        DamagedCheckpointError: the file is truncated or one of its bits has changed.
    """
    with _naming(path):
        verify_archive(path)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """One sentence, with the path, for all that damaged or hostile bytes can raise."""
    try:
        yield
    except UserError:
        raise
    except NotPlainError as error:
        raise CheckpointError(
            f"The checkpoint {path} holds more than plain data, so it was not loaded"
            f" ({error}): keep only tensors, numbers, strings and nests of them in it."
        ) from None
    except (OSError, MemoryError) as error:
        raise CheckpointError(f"{path} cannot be read: {error!r}.") from None
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DamagedCheckpointError(
            f"The checkpoint {path} is damaged ({reason}): use an earlier one."
        ) from None


def _plain_entries(content: Any, path: Path, for_training: bool) -> dict[str, Any]:
    """A checkpoint's entries, of the types that they must have, without foreign objects."""
    if not isinstance(content, dict):
        raise CheckpointError(
            f"The checkpoint {path} holds a {type(content).__name__} and no dictionary:"
            " was it written by Trainer.save_checkpoint?"
        )
    for entry, expected in _ENTRIES.items():
        if not isinstance(content.get(entry, expected()), expected):
            raise CheckpointError(
                f"{entry!r} in {path} is a {type(content[entry]).__name__} and no"
                f" {expected.__name__}: the file is no checkpoint of a run."
            )
    kept = dict(content)
    for entry, value in content.items():
        if entry in (VALUES_KEY, DATA_VALUES_KEY):
            kept[entry] = {k: v for k, v in value.items() if not _is_left_out(k, v)}
        elif kind := foreign_kind(value) or (entry != "state_dict" and inflated(value)):
            if for_training or entry == "state_dict":
                raise NotPlainError(f"{kind} in {entry!r}")
            del kept[entry]
    return kept


def _is_left_out(name: str, value: Any) -> bool:
    """Whether a hyperparameter is not plain data, with a warning if so."""
    kind = foreign_kind(value)
    if kind:
        rank_zero_warn(
            f"The hyperparameter {name!r} of the checkpoint is a {kind}, which is not plain"
            f" data, and is left out: load_from_checkpoint(..., {name}=...) gives it back."
        )
    return bool(kind)


def check_weights(module: nn.Module, content: Mapping[str, Any], path: object) -> None:
    """Compare a checkpoint's shapes with the module's before anything is copied.

    Raises:
        CheckpointError: there are no weights, or one has another shape than the module's.
    """
    if "state_dict" not in content:
        raise CheckpointError(f"{path} holds no 'state_dict', so it is no checkpoint.")
    for name, own in module.state_dict().items():
        saved = content["state_dict"].get(name)
        if not isinstance(saved, torch.Tensor) or not isinstance(own, torch.Tensor):
            continue
        if saved.shape != own.shape and not nn.parameter.is_lazy(own):
            raise CheckpointError(
                f"{name} has shape {tuple(saved.shape)} in {path} and {tuple(own.shape)} in"
                " the model: build it as it was saved, say with --config"
                f" {_config_of(path)}."
            )


def refuse_pickles(weights_only: bool | None) -> None:
    """Refuse `weights_only=False`, which would let a checkpoint execute what it likes."""
    if weights_only is False:
        raise MisconfigurationError(
            "weights_only=False is not supported: a checkpoint holds plain data only."
        )
