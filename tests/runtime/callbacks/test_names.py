"""Every callback and logger of Lightning's is here, or is refused by name."""

import importlib

import pytest

from scaffold_runtime.errors import NotProvidedError, UserError


@pytest.mark.parametrize("door", ["callbacks", "loggers"])
def test_a_name_of_lightning_is_here_or_names_what_to_use_instead(door):
    theirs = importlib.import_module(f"lightning.pytorch.{door}")
    ours = importlib.import_module(f"scaffold_runtime.{door}")
    missing = set(theirs.__all__) - set(ours.__all__)
    assert missing
    for name in missing:
        with pytest.raises(NotProvidedError, match=f"{door} has no {name}: \\w"):
            getattr(ours, name)


def test_importing_such_a_name_ends_in_one_sentence():
    with pytest.raises(ImportError, match="save_on_exception=True") as error:
        from scaffold_runtime.callbacks import OnExceptionCheckpoint  # noqa: F401
    assert isinstance(error.value, UserError)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("door", ["callbacks", "loggers"])
def test_other_names_are_not_there(door):
    assert not hasattr(importlib.import_module(f"scaffold_runtime.{door}"), "Nothing")
