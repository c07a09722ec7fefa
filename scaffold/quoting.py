"""Answers as literals of the language of the file that they go into.

Text answers are printable and on one line (see `template.Question`), so the escapes of
TOML, YAML and Python agree: a backslash and a double quote need one, nothing else.
"""

from __future__ import annotations

import re

Value = str | int | float | bool | list[str]

_PLAIN_YAML = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def toml(value: Value) -> str:
    """Return `value` as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _literal(value)


def python(value: Value) -> str:
    """Return `value` as a Python expression, spelled as Black spells it."""
    return str(value) if isinstance(value, bool) else _literal(value)


def yaml(value: Value) -> str:
    """Return `value` as YAML that 1.1 and 1.2 parsers read alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(yaml, value))}]"
    if isinstance(value, str):
        plain = _PLAIN_YAML.fullmatch(value) and value.lower() not in _YAML_WORDS
        return value if plain else _literal(value)
    literal = _literal(value)
    if "e" in literal and "." not in literal:
        # YAML 1.1 reads a float without a point, 1e-05, as text.
        return literal.replace("e", ".0e")
    return literal


def _literal(value: Value) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)
