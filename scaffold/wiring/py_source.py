"""Where things are in a Python file: its tree gives the place, its lines stay as written."""

from __future__ import annotations

import ast

from scaffold.wiring.edit import ShapeError


def find_function(text: str, path: str) -> ast.FunctionDef:
    """Return the function at `path` ("Model.evaluate").

    Raises:
        ShapeError: there is none.
    """
    node: ast.AST = ast.parse(text)
    for name in path.split("."):
        named = (
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.ClassDef | ast.FunctionDef) and child.name == name
        )
        found = next(named, None)
        if found is None:
            raise ShapeError(path)
        node = found
    if not isinstance(node, ast.FunctionDef):
        raise ShapeError(path)
    return node


def find_call(text: str, name: str) -> ast.Call:
    """Return the only call of the function or class `name`.

    Raises:
        ShapeError: there is none, or more than one.
    """
    calls = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name
    ]
    if len(calls) != 1:
        raise ShapeError(name)
    return calls[0]


def parse_statement(code: str) -> ast.stmt:
    """Return the only statement in `code`."""
    (statement,) = ast.parse(code).body
    return statement


def same(first: ast.AST, second: ast.AST) -> bool:
    """Tell whether both mean the same, however they are laid out."""
    return ast.dump(first) == ast.dump(second)


def without_lines(text: str, node: ast.stmt) -> str:
    """Return `text` without the lines of a statement."""
    lines = text.splitlines(keepends=True)
    del lines[node.lineno - 1 : node.end_lineno]
    return "".join(lines)


def end_of(text: str, node: ast.expr | ast.keyword) -> int:
    """Return the index in `text` behind `node`; the tree counts UTF-8 bytes by line."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    lines = text.splitlines(keepends=True)
    before = "".join(lines[: node.end_lineno - 1])
    line = lines[node.end_lineno - 1].encode()
    return len(before) + len(line[: node.end_col_offset].decode())
