"""A command line that is written wrong: `error: …` and `hint: …`, from what Typer's exceptions carry."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup

from ingot.errors import InputError


class CommandGroup(TyperGroup):
    """Commands below a command; one that is not there is answered with the nearest that is."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named; raise InputError when there is none of that name."""
        names = self.list_commands(ctx)
        if args[0] not in names:
            raise InputError(
                f"error: unknown command {args[0]!r}", hint=nearest(args[0], names) or _more(ctx)
            )
        return super().resolve_command(ctx, args)


def usage_error(error: typer.TyperException, command: str) -> InputError:
    """Return what Typer says of a command line as an InputError.

    Typer's own classes are private, so attributes tell them apart. ``command`` is the command's name, which
    Typer does not know of an option that lacks its value.
    """
    context: Any = getattr(error, "ctx", None)
    parameter: Any = getattr(error, "param", None)
    hint = f"`ingot {command} --help` says more" if context is None else _more(context)
    # Pydantic's words: "Input should be a valid integer, unable to parse string as an integer".
    message = error.format_message().partition(", unable to parse")[0].replace("Input should be", "must be")
    if hasattr(error, "possibilities"):  # NoSuchOption
        message = f"unknown option {getattr(error, 'option_name', '')!r}"
        hint = nearest(getattr(error, "option_name", ""), getattr(error, "possibilities", None) or []) or hint
    elif hasattr(error, "param_type") and isinstance(parameter, TyperArgument):  # MissingParameter
        message = f"missing argument {str(parameter.metavar or parameter.name).upper()!r}"
        hint = f"{parameter.help} {hint}" if parameter.help else hint
    elif message.startswith("Missing command") and context is not None:  # UsageError
        hint = f"give one of: {', '.join(context.command.list_commands(context))}"
    elif message.startswith("Got unexpected extra argument"):  # UsageError, with the words in brackets
        message = f"unexpected argument: {message.partition('(')[2].partition('(')[2][:-1]}"
    return InputError(f"error: {message[:1].lower()}{message[1:].rstrip('.')}", hint=hint)


def _more(context: Any) -> str:
    return f"`{context.command_path} --help` says more"


def nearest(word: str, known: list[str]) -> str | None:
    """Return "did you mean …?" with the word that is nearest; None when none is near."""
    import difflib  # only for a mistake

    # The dashes that all options begin with make none of them alike.
    bare = {name.lstrip("-") or name: name for name in known}
    near = difflib.get_close_matches(word.lstrip("-") or word, bare, n=1)
    return f"did you mean {bare[near[0]]!r}?" if near else None
