"""A project that exists: where it is, what was generated, what the user made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scaffold import __version__, state, tree
from scaffold.errors import ScaffoldError, UsageError, quoted
from scaffold.generation import Generation
from scaffold.overrides import Components
from scaffold.plan import Operation
from scaffold.state import VENDOR_OWNER, Lock, Record
from scaffold.tree import File


def find(start: Path) -> Path:
    """Return the folder of the project that `start` is in.

    Raises:
        UsageError: it is in none.
    """
    for folder in (start, *start.parents):
        if (folder / state.PROJECT_FILE).is_file():
            return folder
    raise UsageError(
        "this folder is in no project: go into one that `scaffold new` has made."
    )


@dataclass(frozen=True)
class Project:
    """A project's folder, its recorded state, and the components that it can have."""

    root: Path
    record: Record
    locks: dict[str, Lock]
    components: Components

    @staticmethod
    def open(root: Path, trusted: bool = False) -> Project:
        """Read the state of the project in `root`.

        Args:
            root: its folder.
            trusted: whether templates of its own may be rendered.

        Raises:
            ScaffoldError: the state is damaged, or a newer generator's.
        """
        record = state.parse_record(_text(root, state.PROJECT_FILE))
        _refuse_newer(record.version)
        owners = [state.PROJECT_OWNER, *(c.owner for c in record.components)]
        if (root / state.lock_path(VENDOR_OWNER)).is_file():
            owners.append(VENDOR_OWNER)
        locks = {
            owner: state.parse_lock(owner, _text(root, state.lock_path(owner)))
            for owner in owners
        }
        return Project(root, record, locks, Components(root, trusted))

    @property
    def vendored(self) -> Lock | None:
        """The lock of the runtime's source, if the project has it."""
        return self.locks.get(VENDOR_OWNER)

    @cached_property
    def base(self) -> Generation:
        """What was generated, as it was."""
        owned = {o: lock for o, lock in self.locks.items() if o != VENDOR_OWNER}
        return Generation(
            files={
                owner: {
                    path: File(self._object(sha256), mode)
                    for path, (sha256, mode) in lock.files.items()
                }
                for owner, lock in owned.items()
            },
            wiring={owner: lock.wiring for owner, lock in owned.items()},
        )

    def on_disk(self, path: str) -> File | None:
        """Return what the project has at `path` now."""
        return tree.on_disk(self.root / path)

    def _object(self, sha256: str) -> bytes:
        path = state.object_path(sha256)
        content = tree.on_disk(self.root / path)
        if content is None or tree.digest(content.content) != sha256:
            raise ScaffoldError(
                f"{path} is missing or damaged: restore it from version control."
            )
        return content.content

    def state_operations(
        self, record: Record, generated: Generation, runtime: Lock | None
    ) -> list[Operation]:
        """Return what changes in .scaffold/ when the state becomes the given one.

        Args:
            record: for project.toml.
            generated: all that the templates made.
            runtime: the lock of the vendored runtime, if the project has it.
        """
        locks = generated.locks() | ({VENDOR_OWNER: runtime} if runtime else {})
        wanted = state.state_files(record, locks, generated.files.values())
        return [
            Operation(path, before, wanted.get(path))
            for path in sorted(self._state_paths() | wanted.keys())
            if (before := self.on_disk(path)) != wanted.get(path)
        ]

    def _state_paths(self) -> set[str]:
        return {
            path.relative_to(self.root).as_posix()
            for part in ("lock", "objects")
            for path in (self.root / state.FOLDER / part).glob("*")
        }


def _refuse_newer(version: str) -> None:
    from packaging.version import InvalidVersion, Version

    try:
        newer = Version(version) > Version(__version__)
    except InvalidVersion:
        raise ScaffoldError(
            f"{state.PROJECT_FILE} is damaged: {quoted(version)} is no version."
        ) from None
    if newer:
        raise ScaffoldError(
            f"this project was written by torch-scaffold {version}, and this is "
            f"{__version__}: upgrade torch-scaffold."
        )


def _text(root: Path, path: str) -> str:
    try:
        return (root / path).read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        raise ScaffoldError(
            f"{path} is missing or damaged: restore it from version control."
        ) from None
