"""`py.add_import`: one more import of a Python file."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from scaffold.wiring.edit import ShapeError
from scaffold.wiring.py_source import parse_statement, same, without_lines


@dataclass(frozen=True)
class AddImport:
    """Add `statement` ("from digits.recall import Recall") to the last block of imports."""

    file: str
    statement: str

    def is_applied(self, text: str) -> bool:
        """Tell whether the name is imported, alone or with others."""
        wanted = parse_statement(self.statement)
        assert isinstance(wanted, ast.ImportFrom)
        names = {alias.name for alias in wanted.names}
        return any(
            isinstance(node, ast.ImportFrom)
            and node.module == wanted.module
            and names <= {alias.name for alias in node.names if alias.asname is None}
            for node in ast.parse(text).body
        )

    def is_changed(self, text: str) -> bool:
        """Tell whether the user imports other names with it."""
        return self.is_applied(text) and self._node(text) is None

    def apply(self, text: str) -> str:
        """Return `text` with the import, at its place in the alphabet."""
        block = _last_block(text)
        if not block:
            raise ShapeError("imports")
        below = (n for n in block if ast.unparse(n).lower() > self.statement.lower())
        first = next(below, None)
        line = first.lineno - 1 if first else block[-1].end_lineno
        lines = text.splitlines(keepends=True)
        lines.insert(line or 0, f"{self.statement}\n")
        return "".join(lines)

    def revert(self, text: str) -> str:
        """Return `text` without the import."""
        node = self._node(text)
        if node is None:
            raise ShapeError(self.statement)
        return without_lines(text, node)

    def snippet(self) -> tuple[str, str]:
        """Return the import, and where it belongs."""
        return self.statement, f"the imports of {self.file}"

    def _node(self, text: str) -> ast.stmt | None:
        wanted = parse_statement(self.statement)
        return next((n for n in ast.parse(text).body if same(n, wanted)), None)


def _last_block(text: str) -> list[ast.stmt]:
    """Return the imports that no blank line parts from the last one."""
    block: list[ast.stmt] = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            if block and node.lineno != (block[-1].end_lineno or 0) + 1:
                block = []
            block.append(node)
    return block
