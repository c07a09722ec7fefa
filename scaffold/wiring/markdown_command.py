"""`markdown.add_command`: one more line in the code block of a Markdown section."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scaffold.wiring.edit import ShapeError

_FENCE = "```"


@dataclass(frozen=True)
class AddCommand:
    """Add `command` at the end of the first code block under "## `section`".

    A document without the section gets it at its end.
    """

    file: str
    section: str
    command: str

    def is_applied(self, text: str) -> bool:
        """Tell whether the code block has the line."""
        return self._place(text) is not None

    def is_changed(self, text: str) -> bool:
        """Tell whether the user changed the line: it cannot be recognised then."""
        return False

    def apply(self, text: str) -> str:
        """Return `text` with the command as the block's last one."""
        lines = text.splitlines(keepends=True)
        if not any(map(self._is_heading, lines)):
            return text.rstrip("\n") + f"\n\n{self._whole_section()}"
        _, end = self._block(lines)
        lines.insert(end, f"{self.command}\n")
        return "".join(lines)

    def revert(self, text: str) -> str:
        """Return `text` without the command; a section made for it goes too."""
        if text.endswith(f"\n\n{self._whole_section()}"):
            return text.removesuffix(f"\n{self._whole_section()}")
        place = self._place(text)
        if place is None:
            raise ShapeError(self.section)
        lines = text.splitlines(keepends=True)
        del lines[place]
        return "".join(lines)

    def snippet(self) -> tuple[str, str]:
        """Return the command, and the section that it belongs to."""
        return self.command, f"a code block under '## {self.section}' of {self.file}"

    def _whole_section(self) -> str:
        return f"## {self.section}\n\n{_FENCE}sh\n{self.command}\n{_FENCE}\n"

    def _place(self, text: str) -> int | None:
        """Return the number of the command's line, if the block has it."""
        lines = text.splitlines(keepends=True)
        try:
            start, end = self._block(lines)
        except ShapeError:
            return None
        return next(
            (n for n in range(start, end) if lines[n].rstrip() == self.command), None
        )

    def _is_heading(self, line: str) -> bool:
        return line.rstrip() == f"## {self.section}"

    def _block(self, lines: list[str]) -> tuple[int, int]:
        """Return where the section's first code block begins and ends, without fences."""
        fences = [n for n, line in enumerate(lines) if line.startswith(_FENCE)]
        blocks = list(zip(fences[::2], fences[1::2], strict=False))
        headings = [
            n
            for n, line in enumerate(lines)
            if re.match("##? ", line) and not any(s < n < e for s, e in blocks)
        ]
        section = [n for n in headings if self._is_heading(lines[n])]
        if section:
            begin = section[0]
            end = min((n for n in headings if n > begin), default=len(lines))
            for first, last in blocks:
                if begin < first < end:
                    return first + 1, last
        raise ShapeError(self.section)
