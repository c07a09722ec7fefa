"""`py.add_argument`: one more keyword argument of a call."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from scaffold.wiring.edit import ShapeError
from scaffold.wiring.py_source import end_of, find_call


@dataclass(frozen=True)
class AddArgument:
    """Add `name`=`value` (Python) to the only call of `call` in the file."""

    file: str
    call: str
    name: str
    value: str

    def is_applied(self, text: str) -> bool:
        """Tell whether the call has the argument, with this value."""
        return self._given(text) == self._wanted()

    def is_changed(self, text: str) -> bool:
        """Tell whether the call has the argument, with another value."""
        return self._given(text) not in (None, self._wanted())

    def apply(self, text: str) -> str:
        """Return `text` with the argument as the call's last one."""
        arguments = _arguments(find_call(text, self.call))
        if not arguments or self._given(text) is not None:
            raise ShapeError(self.call)
        end = end_of(text, arguments[-1])
        return f"{text[:end]}, {self.name}={self.value}{text[end:]}"

    def revert(self, text: str) -> str:
        """Return `text` without the argument."""
        arguments = _arguments(find_call(text, self.call))
        names = [getattr(argument, "arg", None) for argument in arguments]
        if self.name not in names[1:]:
            raise ShapeError(self.call)
        place = names.index(self.name)
        start, end = (end_of(text, arguments[n]) for n in (place - 1, place))
        return text[:start] + text[end:]

    def snippet(self) -> tuple[str, str]:
        """Return the argument, and the call that it belongs to."""
        return f"{self.name}={self.value}", f"the call of {self.call} in {self.file}"

    def _wanted(self) -> str:
        return ast.unparse(ast.parse(self.value, mode="eval"))

    def _given(self, text: str) -> str | None:
        for keyword in find_call(text, self.call).keywords:
            if keyword.arg == self.name:
                return ast.unparse(keyword.value)
        return None


def _arguments(call: ast.Call) -> list[ast.expr | ast.keyword]:
    """Return all arguments, in the order in which they are written."""
    given: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    return sorted(given, key=lambda node: (node.end_lineno or 0, node.end_col_offset))
