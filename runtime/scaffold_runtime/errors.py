"""The errors that a user can cause, as one family.

A `UserError` carries one plain sentence that says what is wrong, where, and what to do.
The command line prints it without a traceback; anything else is a bug and keeps its own.

    UserError
    ├── MisconfigurationError   an argument, a hook or a config that cannot work
    │   └── WrongTypeError      an object of another type than is asked for
    ├── CheckpointError         a checkpoint that is missing, damaged or does not fit
    │   ├── DamagedCheckpointError  its bytes are not those that were written
    │   └── NoCheckpointError       there is no such file
    ├── DataError               data that is missing, empty or unreadable
    ├── NotProvidedError        a name of Lightning's that has no counterpart here
    └── NonFiniteError          a loss or gradient that is NaN or infinite
"""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; the message is one sentence that says how.

    torch makes the error of a data worker anew, with the worker's traceback as message;
    the sentence is what stands after the error's name in its last line.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].rstrip())


class MisconfigurationError(UserError, ValueError):
    """An argument, a hook or a config value that cannot work."""


class WrongTypeError(MisconfigurationError, TypeError):
    """An object that is not of the type asked for, no module say, or no iterable."""


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that is missing, damaged, or does not fit the model."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint whose bytes are not those that were written."""


class NoCheckpointError(CheckpointError, FileNotFoundError):
    """A checkpoint that is not there."""


class DataError(UserError, ValueError):
    """Data that is missing, empty, or cannot be read."""


class NonFiniteError(UserError, ArithmeticError):
    """A loss or a gradient norm that is NaN or infinite."""


class NotProvidedError(UserError, ImportError):
    """A documented name of Lightning's that this package does not have."""


def missing_name(door: str, name: str, instead: dict[str, str]) -> Exception:
    """What the `__getattr__` of a package raises for a name that is not there.

    Args:
        door: the package.
        name: what was asked for.
        instead: what to use in the place of Lightning's names, by name.
    """
    if name in instead:
        return NotProvidedError(f"{door} has no {name}: {instead[name]}.")
    return AttributeError(f"module {door!r} has no attribute {name!r}")


MisconfigurationException = MisconfigurationError
