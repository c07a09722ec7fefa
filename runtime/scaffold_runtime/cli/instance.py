"""Objects of a config: what a class path and its arguments stand for."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from scaffold_runtime.errors import UserError


def make_instances(parser: ArgumentParser, config: Namespace) -> Namespace:
    """The config with objects in place of class paths.

    Raises:
        UserError: a class's own constructor refuses its arguments.
    """
    refused: list[UserError] = []

    def make(cls: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return _make_instance(cls, *args, **kwargs)
        except UserError as error:
            refused.append(error)
            raise

    try:
        makers = [(make, object, True)]
        made: Namespace = parser.instantiate(config, instantiators=makers)
        return made
    except ValueError:
        # jsonargparse wraps what a constructor raises, or writes it into its own report.
        if refused:
            raise refused[0] from None
        raise


def _make_instance(cls: type, *args: Any, **kwargs: Any) -> Any:
    """Make an object of a config; what its untyped arguments hold stays plain data.

    A class path where any value may stand is not followed: without a type nothing says
    which classes are meant. jsonargparse hands it over in dotted keys.
    """
    nested: dict[str, Any] = {}
    for key, value in kwargs.items():
        *branches, leaf = key.split(".")
        inner = nested
        for branch in branches:
            inner = inner.setdefault(branch, {})
        inner[leaf] = _plain(value)
    return cls(*args, **nested)


def _plain(value: Any) -> Any:
    """A value in which namespaces are dicts."""
    value = vars(value) if isinstance(value, Namespace) else value
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if type(value) is list else value
