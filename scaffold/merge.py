"""Three-way merge of one file: base as generated, ours on disk, theirs newly rendered."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass

from scaffold import structured
from scaffold.formatting import Style
from scaffold.merge_data import DataConflict, merge_data
from scaffold.merge_lines import Chunk, marked, merge_lines
from scaffold.tree import File, is_text


@dataclass(frozen=True)
class Merged:
    """The outcome; of a conflict, `file` has the markers, or is None for binaries."""

    file: File | None
    conflict: bool = False


def merge(path: str, base: File, ours: File, theirs: File, style: Style) -> Merged:
    """Return `ours` with the changes from `base` to `theirs`.

    Args:
        path: by whose suffix the file is merged and checked.
        base: as it was generated.
        ours: as the user has it.
        theirs: as it is generated now.
        style: how the project formats its Python.
    """
    if not all(is_text(file.content) for file in (base, ours, theirs)):
        return Merged(None, conflict=True)
    text, conflict = _merge_text(
        path, _plain(base), _plain(ours), _plain(theirs), style
    )
    if b"\r\n" in ours.content:
        text = text.replace("\n", "\r\n")
    mode = theirs.mode if ours.mode == base.mode else ours.mode
    return Merged(File(text.encode(errors="surrogateescape"), mode), conflict)


def _plain(file: File) -> str:
    """Return the text with plain line ends; bytes that are no UTF-8 survive."""
    return file.content.decode(errors="surrogateescape").replace("\r\n", "\n")


def _merge_text(
    path: str, base: str, ours: str, theirs: str, style: Style
) -> tuple[str, bool]:
    if path.endswith(".py") and style.is_formatted(ours):
        # Reformatting is no edit: compare with what was generated, formatted alike.
        base, theirs = style.format(base), style.format(theirs)
    sides = [text.splitlines(keepends=True) for text in (base, ours, theirs)]
    chunks = merge_lines(sides[0], sides[1], sides[2])
    text = "".join(marked(chunks))
    conflict = any(chunk.merged is None for chunk in chunks)
    if path.endswith(structured.SUFFIXES):
        by_key = _merge_by_key(path, base, ours, theirs, None if conflict else text)
        if by_key is not None:
            return by_key, False
    if not conflict and not _is_valid(path, text):
        # The parts merge, but not to anything that can be read.
        whole = Chunk(sides[0], sides[1], sides[2], merged=None)
        return "".join(marked([whole])), True
    return text, conflict


def _merge_by_key(
    path: str, base: str, ours: str, theirs: str, by_line: str | None
) -> str | None:
    """Merge what the files mean, and write it into ours; None where that cannot be.

    The merge by lines, where it means the same, is better: it has both sides' comments.
    """
    try:
        data = merge_data(
            *(structured.load(path, text) for text in (base, ours, theirs))
        )
        if by_line is not None and _means(path, by_line, data):
            return by_line
        text = structured.rewritten(path, ours, data)
    except (DataConflict, structured.BrokenError):
        return None
    # A comment goes with the key that it hangs on, whose removal would lose the user's.
    lost = _comments(ours) - _comments(base) - _comments(text)
    return text if _means(path, text, data) and not lost else None


def _comments(text: str) -> Counter[str]:
    return Counter(re.findall(r"(?:^|\s)(#.*)$", text, re.MULTILINE))


def _means(path: str, text: str, data: object) -> bool:
    try:
        return structured.spelled(structured.load(path, text)) == structured.spelled(
            data
        )
    except structured.BrokenError:
        return False


def _is_valid(path: str, text: str) -> bool:
    try:
        if path.endswith(".py"):
            ast.parse(text)
        elif path.endswith(structured.SUFFIXES):
            structured.load(path, text)
    except (SyntaxError, ValueError):
        return False
    return True
