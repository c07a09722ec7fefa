"""What a config or command line got wrong, as one sentence instead of a parser's report."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from jsonargparse import ArgumentParser

from scaffold_runtime.cli.class_path import ALWAYS_ALLOWED, DOORS

CLASS_SOURCES = (*DOORS, "torch.optim", "torch.optim.lr_scheduler")
# Two lines each: a report of jsonargparse's, then our sentence. In a report, <word> stands
# for text of a line and ... for any text; in a sentence, a {meant...} asks what was meant.
ABOUT_CLASSES = r"""
Option '<word>' is not accepted
{path} has no argument {word}{meant_argument}
the following arguments are required: <key>$
{path} needs {key}: give it among its init_args
Parser key "<key>":\s+Expected an? <types>\. Got value: <value>$
{key} of {path} must be {types}, and it is {value}
Parser key "<key>":\s+Does not validate ...Subtypes: \[<types>\]$...Given value: <value>$
{key} of {path} must be {types}, and it is {value}
module '<door>' has no attribute '<word>'
{path} cannot be imported, module '{door}' has no attribute '{word}'{meant_name}
No module named <reason>$
{path} cannot be imported, No module named {reason}
"""
EXPLANATIONS = r"""
Calling '<path>' is not allowed
a config may not call {path}: it makes objects of classes
Importing '(?=lightning\.|pytorch_lightning\.)<path>' is not allowed
{path} has no counterpart in scaffold_runtime: choose another class
Importing '<path>' is not allowed
a config may not name {path}: the script can allow it, by CLI(..., allow=['{package}'])
unrecognized arguments: (?=-)<word>([= ]|$)
{word} is no option{meant_option}
unrecognized arguments: <word>( |$)
{word} is not expected: options look like --trainer.max_epochs 3
(does not accept option|Option) '<word>'
{word} is no key of the config{meant_key}
the following arguments are required: ((fit|validate|test|predict)\.)?<key>(,|$)
{key} is required: give --{key}, or write it into the config
Parser key "<key>"...Import path <path> does not correspond to a subclass of <base>$
{key} takes a {base}, and {path} is none
Parser key "<key>"...Import path does not correspond to a subclass of <base>$...Given value: <given>$
{key} takes a {base}, and {given} is none
Parser key "<key>"...Expected a dot import path string: <word>$
{word} in {key} is no class that is known{meant_class}
Parser key "<key>"...Subtypes: \[<types>\]$...Given value: <value>$
{key} must be {types}, and it is {value}
Parser key "<key>":\s+Expected an? <types>\. Got value: <value>$
{key} must be {types}, and it is {value}
Parser key "<key>"...Unable to load config '<value>'
{key} takes keys or the name of a config file, not {value}
argument <word>: expected one argument
{word} needs a value
File does not exist: '<path>'
there is no config file {path}
Path is not (a file|readable): '<path>'
{path} is no config file that can be read
Problems parsing config: (?P<broken>(.|\n)+)
the config cannot be read, {broken}
Unexpected config:
the config holds no keys: it must be like 'trainer: {{max_epochs: 3}}'
expected "subcommand" to be one of \{<commands>\}
say what to do: {commands}
argument subcommand: invalid choice: '<word>' \(choose from <commands>\)
{word} is no command: choose {commands}
"""


def explain(message: str, parser: ArgumentParser) -> str:
    """Turn jsonargparse's message into one sentence.

    Args:
        message: what jsonargparse has to say.
        parser: the parser that says it, whose keys are the ones to suggest.
    """
    if default_config := re.match(r"Problem in default config file '(.+?)': ", message):
        return f"{default_config[1]}: {explain(message[default_config.end():], parser)}"
    message = re.sub(r"Group '(.+?)' does not accept option '", r"Option '\1.", message)
    about_classes = _matches(ABOUT_CLASSES, message, r"given class_path '<path>':\s+")
    # A union reports on each of its types; the first class is the one that was meant.
    first = min(about_classes, key=lambda match: match[0].start(), default=None)
    first = first or next(_matches(EXPLANATIONS, message), None)
    if first is None:
        return _ended(_one_line(message))
    found, sentence = first
    parts = {k: CLEANED.get(k, str)(text) for k, text in found.groupdict().items()}
    if "path" in parts:
        package = parts["path"].partition(".")[0]
        parts["package"] = parts["path"] if package in ALWAYS_ALLOWED else package
    for name, known in MEANT.items():
        if name in sentence:
            words = known(parser, parts)
            near = difflib.get_close_matches(parts["word"], words, 1, 0.7)
            parts[name] = f": did you mean {near[0]}?" if near else ""
            if parts["word"] in near:
                parts[name] = " here: it belongs after a command"
    return _ended(sentence.format(**parts))


def _matches(
    table: str, message: str, before: str = ""
) -> Iterator[tuple[re.Match[str], str]]:
    """The reports of a table that a message holds, each with our sentence."""
    lines = table.strip().splitlines()
    for report, sentence in zip(lines[::2], lines[1::2], strict=True):
        pattern = (before + report).replace("...", r"(.|\n)*?")
        pattern = re.sub(r"(?<!P)<(\w+)>", r"(?P<\1>.+?)", pattern)
        if found := re.search(pattern, message, re.MULTILINE):
            yield found, sentence


def _keys(parser: ArgumentParser, dashes: str = "") -> list[str]:
    """Every key that a parser and its commands know."""
    keys = [f"{dashes}{action.dest}" for action in parser._actions]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                keys += _keys(command, dashes)
    return keys


def _arguments(path: str) -> list[str]:
    """Names of the arguments of a class that is imported already."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, object)
    return list(inspect.signature(cls).parameters)


def _type_names(types: str) -> str:
    """Types as a user writes them: `int or null`, not `<class 'int'>, <class 'NoneType'>`."""
    names = re.sub(r"<class '([^']+)'>", r"\1", types)
    names = re.sub(r"(?:\w+\.)+(\w+)", r"\1", names).replace("NoneType", "null")
    literals = re.fullmatch(r"Literal\[(.+)\]", names)
    # A comma within brackets belongs to a type.
    return re.sub(r", (?![^\[]*\])", " or ", literals[1] if literals else names)


def _names(*doors: str) -> list[str]:
    modules = map(import_module, doors)
    return [name for module in modules for name in getattr(module, "__all__", ())]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _ended(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


# How a report's texts are written in a sentence.
CLEANED: dict[str, Callable[[str], str]] = {
    "broken": lambda text: _one_line(
        re.sub(r'in "<[^"]*>", (line \d+).*?(?=\n|$)', r"in \1", text.rstrip(" ^"))
    ),
    "commands": lambda text: ", ".join(re.findall(r"\w+", text)),
    "types": _type_names,
    "value": lambda text: repr(_one_line(text)),
}
# What a word may have been meant for.
MEANT: dict[str, Callable[[ArgumentParser, dict[str, str]], list[str]]] = {
    "meant_argument": lambda parser, parts: _arguments(parts["path"]),
    "meant_class": lambda parser, parts: _names(*CLASS_SOURCES),
    "meant_key": lambda parser, parts: _keys(parser),
    "meant_name": lambda parser, parts: _names(parts["door"]),
    "meant_option": lambda parser, parts: _keys(parser, "--"),
}
