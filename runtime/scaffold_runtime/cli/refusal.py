"""What a config or command line got wrong, as one sentence instead of a parser's report."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module

from jsonargparse import ArgumentParser

from scaffold_runtime.cli.class_path import ALWAYS_ALLOWED, DOORS, FOREIGN

CLASS_SOURCES = (*DOORS, "torch.optim", "torch.optim.lr_scheduler")


def explain(message: str, parser: ArgumentParser) -> str:
    """Turn jsonargparse's message into one sentence.

    Args:
        message: what jsonargparse has to say.
        parser: the parser that says it, whose keys are the ones to suggest.
    """
    default_config = re.match(r"Problem in default config file '([^']+)': ", message)
    if default_config:
        return f"{default_config[1]}: {explain(message[default_config.end():], parser)}"
    in_classes = [
        (found, sentence)
        for pattern, sentence in ABOUT_CLASSES
        if (found := re.search(CLASS + pattern, message, re.DOTALL))
    ]
    # A union reports on each of its types; the first is the one that was meant.
    for found, sentence in sorted(in_classes, key=lambda pair: pair[0].start()):
        return _ended(
            found.expand(sentence) if isinstance(sentence, str) else sentence(found)
        )
    for pattern, explanation in EXPLANATIONS:
        if found := re.search(pattern, message, re.DOTALL):
            if isinstance(explanation, str):
                return _ended(found.expand(explanation))
            return _ended(explanation(found, parser))
    return _ended(_one_line(message))


# --- a class and its arguments ------------------------------------------------------------


def _unknown_argument(found: re.Match[str]) -> str:
    path, argument = found.groups()
    return f"{path} has no argument {argument}{_meant(argument, _arguments_of(path))}"


def _wrong_argument(found: re.Match[str]) -> str:
    path, argument, expected, value = found.groups()
    return (
        f"{argument} of {path} must be {_type_names(expected)}, and it is"
        f" {_one_line(value)!r}"
    )


def _failed_import(found: re.Match[str]) -> str:
    path, reason = found.groups()
    door, _, name = path.rpartition(".")
    names = getattr(sys.modules.get(door), "__all__", [])
    return f"{path} cannot be imported, {_one_line(reason)}{_meant(name, names)}"


CLASS = r"Problem with given class_path '([^']+)':\s+"
ABOUT_CLASSES = (
    (r"Option '([^']+)' is not accepted", _unknown_argument),
    (
        r"the following arguments are required: ([\w.]+)",
        r"\1 needs \2: give it among its init_args",
    ),
    (
        r"Parser key \"([^\"]+)\":\s+Expected an? ([^\n]+)\. Got value: ([^\n]+)",
        _wrong_argument,
    ),
    (
        r"Parser key \"([^\"]+)\":\s+Does not validate [^\n]+\s+Subtypes: \[([^\n]+)\]\n"
        r".*?Given value: ([^\n]+)",
        _wrong_argument,
    ),
    (
        r"(No module named [^\n]+|module [^\n]+ has no attribute [^\n]+)",
        _failed_import,
    ),
)


# --- everything else ----------------------------------------------------------------------


def _forbidden_class(found: re.Match[str], parser: ArgumentParser) -> str:
    path = found[1]
    if FOREIGN.fullmatch(path):
        return f"{path} has no counterpart in scaffold_runtime: choose another class"
    package = path.partition(".")[0]
    allow = path if package in ALWAYS_ALLOWED else package
    return (
        f"a config may not name {path}: the script can allow it, by"
        f" CLI(..., allow=[{allow!r}])"
    )


def _unknown_word(found: re.Match[str], parser: ArgumentParser) -> str:
    word = found[1].split()[0]
    if not word.startswith("-"):
        return f"{word} is not expected: options look like --trainer.max_epochs 3"
    key = word.lstrip("-").partition("=")[0]
    return f"--{key} is no option{_meant(key, _keys(parser), '--')}"


def _unknown_key(found: re.Match[str], parser: ArgumentParser) -> str:
    key = ".".join(part for part in found.groups() if part)
    return f"{key} is no key of the config{_meant(key, _keys(parser))}"


def _wrong_class(found: re.Match[str], parser: ArgumentParser) -> str:
    key, path, base, value = found.groups()
    return f"{key} takes a {base}, and {path or value} is none"


def _unknown_class(found: re.Match[str], parser: ArgumentParser) -> str:
    key, name = found.groups()
    names = [n for source in CLASS_SOURCES for n in import_module(source).__all__]
    meant = _meant(name, names) or ": write it as module.Class"
    return f"{name} in {key} is no class that is known{meant}"


def _wrong_value(found: re.Match[str], parser: ArgumentParser) -> str:
    key, expected, value = found.groups()
    return f"{key} must be {_type_names(expected)}, and it is {_one_line(value)!r}"


def _broken_config(found: re.Match[str], parser: ArgumentParser) -> str:
    reason = re.sub(r'in "<[^"]*>", (line \d+).*?(?=\n|$)', r"in \1", found[1])
    return f"the config cannot be read, {_one_line(reason.rstrip(' ^'))}"


def _no_command(found: re.Match[str], parser: ArgumentParser) -> str:
    return f"say what to do: {found[1].replace(',', ', ')}"


def _unknown_command(found: re.Match[str], parser: ArgumentParser) -> str:
    word, commands = found.groups()
    return f"{word} is no command: choose {commands.replace(chr(39), '')}"


KEY = r"Parser key \"([^\"]+)\""
EXPLANATIONS = (
    (
        r"Calling '([^']+)' is not allowed",
        r"a config may not call \1: it makes objects of classes",
    ),
    (r"Importing '([^']+)' is not allowed", _forbidden_class),
    (r"unrecognized arguments: (.+)", _unknown_word),
    (r"Subcommand '[^']+' does not accept option '([^']+)'", _unknown_key),
    (r"Group '([^']+)' does not accept option '([^']+)'", _unknown_key),
    (r"Option '([^']+)' is not accepted", _unknown_key),
    (
        r"the following arguments are required: (?:(?:fit|validate|test|predict)\.)?"
        r"([\w.]+)",
        r"\1 is required: give --\1, or write it into the config",
    ),
    (
        KEY + r".*Import path (?:(\S+) )?does not correspond to a subclass of (\w+)"
        r".*Given value: ([^\n]+)",
        _wrong_class,
    ),
    (KEY + r".*Expected a dot import path string: ([^\n]+)", _unknown_class),
    (KEY + r".*Subtypes: \[([^\n]+)\]\n.*Given value: ([^\n]+)", _wrong_value),
    (KEY + r":\s+Expected an? (.+?)\. Got value: ([^\n]+)", _wrong_value),
    (
        KEY + r".*Unable to load config ('[^\n]*')",
        r"\1 takes keys or the name of a config file, not \2",
    ),
    (r"argument (--\S+): expected one argument", r"\1 needs a value"),
    (r"File does not exist: '([^']+)'", r"there is no config file \1"),
    (
        r"Path is not (?:a file|readable): '([^']+)'",
        r"\1 is no config file that can be read",
    ),
    (r"Problems parsing config: (.+)", _broken_config),
    (
        r"Unexpected config:",
        "the config holds no keys: it must be like 'trainer: {max_epochs: 3}'",
    ),
    (r"expected \"subcommand\" to be one of \{([^}]+)\}", _no_command),
    (
        r"argument subcommand: invalid choice: '([^']+)' \(choose from ([^)]+)\)",
        _unknown_command,
    ),
)


def _keys(parser: ArgumentParser) -> Iterator[str]:
    """Every key that a parser and its commands know."""
    for action in parser._actions:
        yield action.dest
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _keys(command)


def _arguments_of(path: str) -> list[str]:
    """Names of the arguments of a class that is imported already."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, object)
    return list(inspect.signature(cls).parameters)


def _meant(word: str, known: Iterable[str], dashes: str = "") -> str:
    """The known word that is nearest, as a question; nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f": did you mean {dashes}{near[0]}?" if near else ""


def _type_names(types: str) -> str:
    """Types as a user writes them: `int, null`, rather than Python's `<class 'int'>`."""
    names = re.sub(r"<class '([^']+)'>", r"\1", types)
    names = re.sub(r"(?:\w+\.)+(\w+)", r"\1", names).replace("NoneType", "null")
    literals = re.fullmatch(r"Literal\[(.+)\]", names)
    return (literals[1] if literals else names).replace(", ", " or ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _ended(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."
