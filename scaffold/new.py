"""`scaffold new`: plan a project, then make its folder in one rename."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from scaffold import __version__, naming, state, tree, vendor
from scaffold.errors import ScaffoldError, UsageError, ended, quoted
from scaffold.fault import crash_point
from scaffold.formatting import black_version
from scaffold.plan import Operation, Plan
from scaffold.render import render
from scaffold.template import Template

_STAGING = ".scaffold-new-"


def package_for(destination: Path, name: str | None) -> str:
    """Return the project's package name: `name`, or the one its folder stands for."""
    if name is not None:
        return name
    folder = destination.name
    package = naming.package_from_folder(folder)
    try:
        naming.check_identifier(package, "package name")
    except UsageError as error:
        raise UsageError(f"{ended(str(error))} Choose one with --name.") from None
    return package


def plan_new(
    template: Template,
    destination: Path,
    package: str,
    chosen: Mapping[str, object],
    vendored: bool = True,
) -> Plan:
    """Return the plan of a new project; nothing is written.

    Args:
        template: of the task.
        destination: the project's folder: not there yet, or empty.
        package: the import package.
        chosen: answers to the template's questions.
        vendored: whether the project carries the runtime's source.

    Raises:
        UsageError: the destination, the name or an answer cannot be.
    """
    check_destination(destination)
    answers = template.answers(package, vendored, **chosen)
    generated = render(template, answers)
    runtime = vendor.runtime_tree() if vendored else {}
    record = state.Record(
        task=template.name,
        version=__version__,
        black=black_version(),
        package=package,
        vendor=vendored,
        answers={name: answers[name] for name in template.questions},
    )
    locks = {state.PROJECT_OWNER: state.Lock.of(generated)}
    if vendored:
        locks[state.VENDOR_OWNER] = state.Lock.of(runtime)
    files = generated | runtime | state.state_files(record, locks, [generated])
    return Plan(
        command="new",
        root=destination,
        operations=tuple(Operation(path, None, files[path]) for path in sorted(files)),
        next=(f"cd {shlex.quote(str(destination))}", *template.next),
        details={"task": template.name, "package": package, "folder": str(destination)},
    )


def check_destination(destination: Path) -> None:
    """Raise UsageError unless a new project can have the folder `destination`."""
    shown = quoted(str(destination), 200)
    if not str(destination).isprintable():
        raise UsageError(f"{shown} is no folder's name: leave out control characters.")
    if ".git" in destination.absolute().parts:
        raise UsageError(f"{shown} is git's own: name a folder outside of .git.")
    try:
        mode = destination.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{shown} cannot be a folder: {error.strerror}.") from None
    if stat.S_ISLNK(mode):
        raise UsageError(f"{shown} is a link: name a folder that does not exist yet.")
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{shown} is a file: name a folder that does not exist yet.")
    if not mode & 0o222 or not os.access(destination, os.W_OK):
        raise UsageError(f"{shown} is read-only: name a folder that can be written to.")
    if destination.resolve() == Path.cwd():
        raise UsageError(
            f"{shown} is the current folder: run this one level up, with its name."
        )
    if any(destination.iterdir()):
        raise UsageError(
            f"{shown} exists and is not empty: name a folder that does not exist yet."
        )


def apply_new(plan: Plan) -> None:
    """Make the project's folder: all of it, or nothing.

    Raises:
        UsageError: the folder is there by now.
        ScaffoldError: it cannot be written; nothing is left behind.
    """
    try:
        with _staging_folder(plan.root) as staged:
            crash_point("new.staging")
            files = {o.path: o.after for o in plan.operations if o.after is not None}
            tree.write(files, staged)
            crash_point("new.staged")
            _rename(staged, plan.root)
        crash_point("new.renamed")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ScaffoldError(
            f"cannot write {quoted(str(plan.root), 200)}: {reason}; nothing was left there."
        ) from error


@contextmanager
def _staging_folder(destination: Path) -> Iterator[Path]:
    """Yield a folder-to-be on the disk of `destination`, gone afterwards."""
    parent = next(p for p in destination.absolute().parents if p.is_dir())
    _sweep(parent)
    holder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=parent))
    try:
        yield holder / "project"
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what a `scaffold new` that was killed an hour ago or more has left."""
    for holder in parent.glob(f"{_STAGING}*"):
        with suppress(FileNotFoundError):  # another one may be done with its own
            if holder.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(holder, ignore_errors=True)


def _rename(staged: Path, destination: Path) -> None:
    made = _make_parents(destination.absolute().parent)
    try:
        if os.name == "nt" and destination.is_dir():
            # Windows renames onto nothing; elsewhere an empty folder is replaced.
            destination.rmdir()
        staged.rename(destination)
    except OSError as error:
        for folder in made:
            folder.rmdir()
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UsageError(
                f"{quoted(str(destination), 200)} was made by someone else meanwhile: "
                "choose another folder."
            ) from error
        raise


def _make_parents(folder: Path) -> list[Path]:
    """Make `folder` and its parents; return those that were not there, deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing
