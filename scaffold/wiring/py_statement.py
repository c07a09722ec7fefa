"""`py.add_statement`: one more statement at the end of a function."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from scaffold.wiring.edit import ShapeError
from scaffold.wiring.py_source import (
    find_function,
    parse_statement,
    same,
    without_lines,
)


@dataclass(frozen=True)
class AddStatement:
    """Add `statement` at the end of `function` ("Model.evaluate"), before its return."""

    file: str
    function: str
    statement: str

    def is_applied(self, text: str) -> bool:
        """Tell whether the function has the statement."""
        return self._node(text) is not None

    def is_changed(self, text: str) -> bool:
        """Tell whether the function assigns something else to the same name."""
        wanted = parse_statement(self.statement)
        return isinstance(wanted, ast.Assign) and any(
            isinstance(node, ast.Assign)
            and list(map(ast.dump, node.targets)) == list(map(ast.dump, wanted.targets))
            and not same(node, wanted)
            for node in find_function(text, self.function).body
        )

    def apply(self, text: str) -> str:
        """Return `text` with the statement."""
        function = find_function(text, self.function)
        last = function.body[-1]
        if function.body[0].lineno == function.lineno:
            raise ShapeError(self.function)
        line = last.lineno - 1 if isinstance(last, ast.Return) else last.end_lineno
        lines = text.splitlines(keepends=True)
        lines.insert(line or 0, f"{' ' * last.col_offset}{self.statement}\n")
        return "".join(lines)

    def revert(self, text: str) -> str:
        """Return `text` without the statement."""
        node = self._node(text)
        if node is None or len(find_function(text, self.function).body) == 1:
            raise ShapeError(self.function)
        return without_lines(text, node)

    def snippet(self) -> tuple[str, str]:
        """Return the statement, and where it belongs."""
        return self.statement, f"the end of {self.function} in {self.file}"

    def _node(self, text: str) -> ast.stmt | None:
        wanted = parse_statement(self.statement)
        body = find_function(text, self.function).body
        return next((node for node in body if same(node, wanted)), None)
