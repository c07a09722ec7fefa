"""What must not be written down: values whose key says that they are secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "********"
KEY = re.compile(r"(^|_)(token|password|passwd|secret|credentials?|api_?key)s?$", re.I)


def is_secret(key: str) -> bool:
    """Whether the last word of a dotted key names a secret, like `api_key` or `hf_token`."""
    return KEY.search(key.rpartition(".")[2].replace("-", "_")) is not None


def mask(value: Any) -> Any:
    """A copy of nested mappings and lists with every secret string replaced."""
    if isinstance(value, Mapping):
        return {
            key: (MASK if isinstance(item, str) and is_secret(str(key)) else mask(item))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask(item) for item in value]
    return value


def mask_words(words: Sequence[str]) -> list[str]:
    """The words of a command line with every secret value replaced."""
    masked: list[str] = []
    for word in words:
        key, equals, _ = word.partition("=")
        if masked and masked[-1].startswith("--") and is_secret(masked[-1]):
            masked.append(MASK)
        elif equals and is_secret(key):
            masked.append(f"{key}={MASK}")
        else:
            masked.append(word)
    return masked
