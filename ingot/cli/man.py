"""``ingot man``: manual pages, printed or installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.errors import InputError

app = typer.Typer(add_completion=False)


@app.command()
def man(
    command: Annotated[
        str | None, typer.Argument(help="A command, such as bake or cloud.", show_default="ingot itself")
    ] = None,
    install: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write all pages to DIR/man1 instead of printing one."),
    ] = None,
) -> None:
    """Print a manual page in roff for man(1), or install all of them.

    Examples: `ingot man boot | man -l -`, `ingot man --install ~/.local/share/man`.
    """
    if command is not None and install is not None:
        raise InputError("--install writes all pages: it takes no command")
    from ingot.cli.main import COMMANDS, cli
    from ingot.cli.usage.manual import pages
    from ingot.cli.usage.mistakes import nearest

    roff = pages(typer.main.get_command(cli), COMMANDS)
    if install is not None:
        directory = install / "man1"
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in roff.items():
            (directory / f"{name}.1").write_text(text, encoding="utf-8")
        print(f"{len(roff)} pages are in {directory}", file=sys.stderr)
        return
    page = "ingot" if command is None else f"ingot-{command}"
    if page not in roff:
        hint = nearest(str(command), [*COMMANDS]) or "`ingot --help` lists the commands"
        raise InputError(f"unknown command {command!r}", hint=hint)
    print(roff[page], end="")
