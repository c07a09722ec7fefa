"""`scaffold update`: plan how a project takes what its templates say today.

B is the file as it was generated, O as it is on disk, T as it is generated now:

B    O         T         what happens
no   no        yes       create
no   equals T  yes       record only
no   differs   yes       never overwrite: write path.new
yes  equals B  yes       take T
yes  edited    equals B  keep O
yes  gone      any       the user deleted it: it stays deleted
yes  equals B  no        delete
yes  edited    no        keep, detach it: the user's now
yes  edited    differs   three-way merge; at a renamed path too, and the file moves
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

from scaffold import __version__, catalog, tree, vendor
from scaffold.errors import ScaffoldError
from scaffold.formatting import Style, black_version
from scaffold.generation import Generation, current_answers, generate
from scaffold.merge import merge
from scaffold.overrides import Components
from scaffold.plan import Operation, Plan
from scaffold.project import Project
from scaffold.quoting import Value
from scaffold.state import Lock, Record
from scaffold.template import Answers, Template
from scaffold.tree import File, Tree, digest

OnConflict = Literal["markers", "new", "ours", "theirs", "abort"]
Outcome = Literal["updated", "merged", "kept", "conflict", "yours now"]

CONFLICTS = 4


@dataclass
class _Decisions:
    """What is to be written, and why.

    Attributes:
        root: the project's folder.
        written: the new content of each path; None deletes it.
        outcomes: what became of each generated file.
        put_beside: where the new file lies that the user's is in the way of.
    """

    root: Path
    written: dict[str, File | None] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    put_beside: dict[str, str] = field(default_factory=dict)

    def decide(self, path: str, outcome: Outcome) -> None:
        self.outcomes[path] = outcome

    def write(self, path: str, file: File | None, outcome: Outcome) -> None:
        self.written[path] = file
        self.outcomes[path] = outcome

    def write_beside(self, path: str, file: File, outcome: Outcome) -> None:
        new = tree.beside(self.root / path).relative_to(self.root).as_posix()
        self.written[new] = file
        self.put_beside[path] = new
        self.outcomes[path] = outcome


def plan_update(
    project: Project, only: str | None = None, on_conflict: OnConflict = "markers"
) -> Plan:
    """Return the plan that brings `project` up to date.

    Args:
        project: as it is now.
        only: a pattern of the paths to update; the others wait.
        on_conflict: what becomes of a file that both sides changed in one place.

    Raises:
        ScaffoldError: there is a conflict, and `on_conflict` is "abort".
    """
    record = project.record
    target = generate(record, project.components)
    decisions = _Decisions(project.root)
    runtime = project.vendored
    if only is not None:
        target = _restricted(project.base, target, only)
    else:
        record = _renewed(record, project.components)
        carried = vendor.runtime_tree() if record.vendor else {}
        _decide_vendored(project, carried, decisions)
        runtime = Lock.of(carried) if carried else None
    _decide_generated(project, target, _Merger(project, on_conflict), decisions)
    detached = [
        p for p, outcome in decisions.outcomes.items() if outcome == "yours now"
    ]
    record = replace(record, detached=tuple(sorted({*record.detached, *detached})))
    stored = project.state_operations(record, target, runtime)
    return _plan(project, stored, decisions)


def _renewed(record: Record, components: Components) -> Record:
    """Return the record as this generator writes it, with answers to its questions."""

    def renewed(template: Template, answers: Mapping[str, Value]) -> Answers:
        return current_answers(template, answers, record.version)

    return replace(
        record,
        version=__version__,
        black=black_version(),
        answers=renewed(catalog.task(record.task), record.answers),
        components=tuple(
            replace(
                c, answers=renewed(components.template(c.kind, c.variant), c.answers)
            )
            for c in record.components
        ),
    )


def _plan(project: Project, stored: list[Operation], decisions: _Decisions) -> Plan:
    own = [
        Operation(path, before, after)
        for path, after in sorted(decisions.written.items())
        if (before := project.on_disk(path)) != after
    ]
    return Plan(
        command="update",
        root=project.root,
        operations=(*own, *stored),
        details={"outcomes": dict(sorted(decisions.outcomes.items()))},
        title="update",
        notes=tuple(_notes(decisions, changed=bool(own or stored))),
        exit_code=CONFLICTS if "conflict" in decisions.outcomes.values() else 0,
    )


def _notes(decisions: _Decisions, changed: bool) -> Iterator[str]:
    for path, outcome in sorted(decisions.outcomes.items()):
        if outcome in ("conflict", "yours now", "kept"):
            new = decisions.put_beside.get(path)
            yield f"{outcome}: {path}" + (f", see {new}" if new else "")
    if not changed and not decisions.outcomes:
        yield "up to date."
        return
    counts = Counter(decisions.outcomes.values())
    yield ", ".join(
        f"{counts[outcome]} {'conflicts' if outcome == 'conflict' else outcome}"
        for outcome in get_args(Outcome)
    ) + "."


def _restricted(base: Generation, target: Generation, only: str) -> Generation:
    """Return `target` for the paths that match `only`, and `base` for the others."""
    files: dict[str, Tree] = {}
    for owner, generated in target.files.items():
        before = base.files.get(owner, {})
        paths = sorted({*before, *generated})
        sides = {p: generated if fnmatchcase(p, only) else before for p in paths}
        files[owner] = {p: side[p] for p, side in sides.items() if p in side}
    return Generation(files, base.wiring)


@dataclass(frozen=True)
class _Merger:
    """Merges a file that both sides changed, as the user wants conflicts solved."""

    project: Project
    on_conflict: OnConflict

    def decide(
        self, path: str, base: File, ours: File, theirs: File, decisions: _Decisions
    ) -> None:
        """Decide what becomes of the file, which will be at `path`."""
        pyproject = self.project.on_disk("pyproject.toml") or File(b"")
        style = Style.of(pyproject.content.decode(errors="replace"))
        merged = merge(path, base, ours, theirs, style)
        if not merged.conflict:
            decisions.write(path, merged.file, "merged")
        elif self.on_conflict == "abort":
            raise ScaffoldError(f"{path} has a conflict: nothing was changed.")
        elif self.on_conflict == "ours":
            decisions.write(path, ours, "kept")
        elif self.on_conflict == "theirs":
            decisions.write(path, theirs, "updated")
        elif self.on_conflict == "new" or merged.file is None:
            decisions.write(path, ours, "conflict")
            decisions.write_beside(path, theirs, "conflict")
        else:
            decisions.write(path, merged.file, "conflict")


def _decide_generated(
    project: Project, target: Generation, merger: _Merger, decisions: _Decisions
) -> None:
    base, theirs = project.base.wired(), target.wired()
    moved = _moves(project, base, theirs)
    for old, new in moved.items():
        ours = project.on_disk(old)
        if ours is None:
            continue
        decisions.written[old] = None
        if _same(ours, base[old]):
            decisions.write(new, theirs[new], "updated")
        else:
            merger.decide(new, base[old], ours, theirs[new], decisions)
    for path in sorted({*base, *theirs} - {*moved, *moved.values()}):
        b, o, t = base.get(path), project.on_disk(path), theirs.get(path)
        _decide_file(path, b, o, t, merger, decisions)


def _moves(project: Project, base: Tree, theirs: Tree) -> dict[str, str]:
    """Return which generated files have another path now, and nothing in its way."""
    templates = [catalog.task(project.record.task)] + [
        project.components.template(c.kind, c.variant)
        for c in project.record.components
    ]
    renames = {
        old.replace("{{ package }}", project.record.package): new.replace(
            "{{ package }}", project.record.package
        )
        for template in templates
        for old, new in template.renames.items()
    }
    return {
        old: new
        for old, new in renames.items()
        if old in base
        and old not in theirs
        and new in theirs
        and new not in base
        and project.on_disk(new) is None
    }


def _decide_file(
    path: str,
    base: File | None,
    ours: File | None,
    theirs: File | None,
    merger: _Merger,
    decisions: _Decisions,
) -> None:
    """Decide about one file, row by row of the table above."""
    if base is None:
        assert theirs is not None
        if ours is None:
            decisions.write(path, theirs, "updated")
        elif not _same(ours, theirs):
            decisions.write_beside(path, theirs, "kept")
    elif ours is None:
        if theirs is None or not _same(base, theirs):
            decisions.decide(path, "kept")
    elif theirs is None:
        if _same(ours, base):
            decisions.write(path, None, "updated")
        else:
            decisions.decide(path, "yours now")
    elif _same(base, theirs):
        return
    elif _same(ours, base):
        decisions.write(path, _with_line_ends(theirs, ours), "updated")
    elif not _same(ours, theirs):
        merger.decide(path, base, ours, theirs, decisions)


def _decide_vendored(project: Project, runtime: Tree, decisions: _Decisions) -> None:
    """Renew the runtime's source; a file that the user edited is kept and named."""
    before = project.vendored.files if project.vendored else {}
    for path in sorted({*before, *runtime}):
        ours, theirs = project.on_disk(path), runtime.get(path)
        known = before[path][0] if path in before else None
        if theirs is not None and known == digest(theirs.content):
            continue
        if (digest(ours.content) if ours is not None else None) == known:
            decisions.write(path, theirs, "updated")
        elif ours is not None and theirs is not None and not _same(ours, theirs):
            decisions.decide(path, "kept")


def _same(left: File, right: File) -> bool:
    """Tell whether two files are the same but for line endings."""
    return left.mode == right.mode and digest(left.content) == digest(right.content)


def _with_line_ends(file: File, like: File) -> File:
    """Return `file` with the line endings of `like`."""
    if b"\r\n" not in like.content or b"\0" in file.content:
        return file
    return File(file.content.replace(b"\n", b"\r\n"), file.mode)
