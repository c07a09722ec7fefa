"""Reading TOML: the standard library's parser, or its backport on Python 3.10."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOMLDecodeError = tomllib.TOMLDecodeError


def loads(text: str) -> dict[str, Any]:
    """Parse `text`.

    Raises:
        TOMLDecodeError: it is no TOML; the message has line and column.
    """
    return tomllib.loads(text)
