"""What all commands have in common: options, and how their help is set."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ingot.cli.terminal.printable import printable
from ingot.progress import QUIET

EXAMPLES = "Examples:"  # the paragraph before those of a command, one on each line


def dress(command: Any) -> None:
    """Give a command, and those below it, the common options and a readable help."""
    below = getattr(command, "commands", {})
    command.help = _reflowed(command.help or "")
    own = command.get_help_option
    command.get_help_option = lambda context: _switch_alone(own(context))
    if not below:
        command.params += _options()
    for parameter in command.params:
        _name_value(parameter)
    for other in below.values():
        dress(other)


def _name_value(parameter: Any) -> None:
    """Have help name a parameter's value in capitals, as other programs do, and not by its Python type."""
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""  # a switch takes no value
        return
    if parameter.metavar is None:
        parameter.metavar = str(parameter.name).upper().replace("_", "-")
    if parameter.param_type_name == "argument":
        shown = _shown(parameter)
        parameter.get_usage_pieces = lambda _context: [shown]
        parameter.display_type_rich = lambda **_context: None


def _switch_alone(option: Any) -> Any:
    """Return an option, which takes no value, without a type."""
    if option is not None:
        option.metavar = ""
    return option


def _shown(parameter: Any) -> str:
    """Return an argument in a line of usage: NAME, [NAME], [NAME]..."""
    if parameter.nargs == -1:
        return f"[{parameter.metavar}]..."
    return str(parameter.metavar) if parameter.required else f"[{parameter.metavar}]"


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
    # Not indented: Typer keeps that in some texts and drops it in others.
    return f"{EXAMPLES}\n\n" + "\n".join(commands)
