"""The command line, from Typer's commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from ingot.cli.main import COMMANDS, cli
from ingot.cli.usage.help import EXAMPLES
from tools.site.reference.markdown import code, escaped, table


def commands() -> str:
    """Return a section for every command, with its usage, arguments and options."""
    group: Any = typer.main.get_command(cli)
    pieces = []
    for name in COMMANDS:
        for words, command in _below((name,), group.get_command(None, name)):
            pieces.append(_section(words, command))
    return "\n\n".join(pieces)


def _below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", {})
    if not inner:
        yield words, command
    for name, each in inner.items():
        yield from _below((*words, name), each)


def _section(words: tuple[str, ...], command: Any) -> str:
    name = " ".join(("ingot", *words))
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    pieces = [f"## {name}", _paragraphs(command.help or ""), f"```text\n{usage}\n```"]
    for kind in ("argument", "option"):
        shown = [each for each in command.params if each.param_type_name == kind and not each.hidden]
        rows = [_row(each.get_help_record(context)) for each in shown]
        if rows:
            pieces.append(table([kind, "meaning", "default"], rows))
    return "\n\n".join(pieces)


def _paragraphs(text: str) -> str:
    """Return Markdown: the examples, a command on each line, as a block of code."""
    text, _, examples = text.partition(f"{EXAMPLES}\n\n")
    prose = "\n\n".join(escaped(" ".join(part.split())) for part in text.strip().split("\n\n"))
    return f"{prose}\n\n```sh\n{examples}\n```" if examples else prose


def _row(record: tuple[str, str]) -> list[str]:
    """Return the line of the command's help: its spelling, its meaning, what is in brackets."""
    spelled, meaning = record
    meaning, _, extra = meaning.partition("  [")
    extra = extra.removesuffix("]").replace("default: ", "").replace("required", "")
    return [code(spelled), escaped(meaning), escaped(extra)]
