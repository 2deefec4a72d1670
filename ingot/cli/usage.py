"""A command line that is written wrong, in the words of all bad input: place, found, expected, hint."""

from __future__ import annotations

import re
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperArgument, TyperGroup

from ingot.errors import InputError
from ingot.recipe.syntax.explain import close_to
from ingot.report.escape import plain

_COMMAND = re.compile(r"No such command '(.*?)'\.", re.DOTALL)
_EXTRA = re.compile(r"Got unexpected extra argument\(?s?\)? \((.*)\)", re.DOTALL)
_OPTION = re.compile(r"Option '(.*?)' (requires an argument|does not take a value)", re.DOTALL)


def in_our_words(error: typer.TyperException, command: str) -> InputError:
    """Return what Typer says of a command line as an InputError. Typer's own classes are private: their attributes tell them apart.

    ``command`` is the command's name, which Typer itself does not know of an option that lacks its value.
    """
    context: Any = getattr(error, "ctx", None)
    if context is None:
        path, near = f"ingot {command}".strip(), None
        found, expected = _option(error.format_message())
    else:
        path = context.command_path
        found, expected, near = _found(error, context)
    return InputError(
        f"{plain(path)}: found {plain(found)}; expected {expected}",
        hint=near or f"`{plain(path)} --help` says more",
    )


def _found(error: typer.TyperException, context: Any) -> tuple[str, str, str | None]:
    """Return what was found, what was expected, and the nearest word to what was found, if one is near."""
    said, parameter = error.format_message(), getattr(error, "param", None)
    if parameter is not None and said.startswith("Missing"):
        name = _name(parameter)
        return f"no {name}", f"{name}: {parameter.help}" if parameter.help else f"a {name}", None
    if parameter is not None:
        # "Input should be a valid integer, unable to parse string as an integer"
        return _value(error, parameter), _sentence(str(getattr(error, "message", said))), None
    if hasattr(error, "possibilities"):
        option = str(getattr(error, "option_name", ""))
        options = [word for known in context.command.params for word in known.opts]
        return f"the option {option}", "one that it has", close_to(option, options)
    if isinstance(context.command, TyperGroup):
        names = context.command.list_commands(context)
        match = _COMMAND.match(said)
        found = f"the command {match[1]!r}" if match else "no command"
        return found, f"one of {', '.join(names)}", close_to(match[1], names) if match else None
    if match := _EXTRA.match(said):
        names = [_name(known) for known in context.command.params if isinstance(known, TyperArgument)]
        return f"the word {match[1]!r}", f"{' '.join(names)} and no more" if names else "options alone", None
    return *_option(said), None


def _option(said: str) -> tuple[str, str]:
    """Return what was found and expected of an option that lacks its value, or has one too many."""
    match = _OPTION.match(said)
    if match is None:
        return _sentence(said), "what its help says"
    lacks = match[2].startswith("requires")
    return (
        f"{match[1]} {'without' if lacks else 'with'} a value",
        f"{match[1]}{' and a value' if lacks else ' alone'}",
    )


def _name(parameter: Any) -> str:
    """Return a parameter as its help names it."""
    if isinstance(parameter, TyperArgument):
        return str(parameter.metavar or parameter.name).upper()
    return str(parameter.opts[-1])


def _value(error: typer.TyperException, parameter: Any) -> str:
    """Return a parameter with the value that it was given, where pydantic says which."""
    wrong = error.__cause__
    given = wrong.errors()[0]["input"] if isinstance(wrong, ValidationError) else None
    return _name(parameter) if given is None else f"{_name(parameter)} {given!r}"


def _sentence(said: str) -> str:
    """Return Typer's words without its lead and its full stop."""
    return said.removeprefix("Input should be ").partition(", unable to parse")[0].rstrip(".")
