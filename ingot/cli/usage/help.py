"""What all commands have in common: options, and how their help is set."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.reporting import QUIET


def dress(command: Any) -> None:
    """Give a command, and those below it, the common options and a readable help."""
    below = getattr(command, "commands", {})
    command.help = _reflowed(command.help or "")
    if not below:
        command.params += _options()
    for parameter in command.params:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # a switch takes no value
    for other in below.values():
        dress(other)


def _be_quiet(given: bool) -> None:
    if given:
        os.environ[QUIET] = "1"


def _be_verbose(given: bool) -> None:
    if given:
        from ingot import process

        process.listener = lambda words: print(f"  + {printable(words)}", file=sys.stderr, flush=True)


def _without_color(given: bool) -> None:
    if given:
        os.environ["NO_COLOR"] = "1"


def _switch(*names: str, callback: Callable[[bool], None], help_text: str) -> Any:
    return typer.Option(
        *names, callback=callback, is_eager=True, expose_value=False, help=help_text, rich_help_panel="Output"
    )


def _common(
    quiet: Annotated[
        bool,
        _switch("--quiet", "-q", callback=_be_quiet, help_text="Print results and errors, and no progress."),
    ] = False,
    verbose: Annotated[
        bool,
        _switch(
            "--verbose",
            "-v",
            callback=_be_verbose,
            help_text="Print each program that is run, and each call of AWS.",
        ),
    ] = False,
    no_color: Annotated[
        bool,
        _switch(
            "--no-color",
            callback=_without_color,
            help_text="Print no colors. The variable NO_COLOR does the same.",
        ),
    ] = False,
) -> None:
    """Take the options of every command; its parameters are all that is used of it."""


def _options() -> list[Any]:
    """Return the options that every command takes. Their values are nothing to the command itself."""
    app = typer.Typer(add_completion=False)
    app.command()(_common)
    return [one for one in typer.main.get_command(app).params if one.name in _common.__annotations__]


def _reflowed(text: str) -> str:
    """Return help with each paragraph as one line, and each example on a line of its own."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(_examples(part) if part.startswith("Examples: ") else part for part in paragraphs)


def _examples(paragraph: str) -> str:
    commands = re.findall(r"`([^`]+)`", paragraph)
    return "Examples:\n\n" + "\n".join(f"  {command}" for command in commands)
