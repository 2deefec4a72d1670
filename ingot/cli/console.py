"""``ingot console``: what a machine or a clone said on its serial console."""

from __future__ import annotations

from typing import Annotated

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, image_names, without_slash
from ingot.errors import InputError
from ingot.escape import without_sequences
from ingot.pipeline.inspection.consoles import console_of

app = typer.Typer(add_completion=False)


@app.command()
def console(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CLONE|MACHINE|NAME",
            callback=without_slash,
            autocompletion=image_names,
            help="A clone's instance id, the id of a machine of `ingot boot`, or its recipe.",
        ),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new output until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the serial console of a clone, or of a machine that `ingot boot` runs or kept.

    EC2 keeps the last 64 KiB of a clone's console.

    Examples: `ingot console i-0123456789abcdef0`, `ingot console web --follow`.
    """
    if follow and as_json:
        raise InputError("--follow and --json exclude each other", hint="one JSON document has an end")
    parts = console_of(target).follow()
    if as_json:
        print_json({"target": target, "lines": without_sequences(next(parts)).splitlines()})
        return
    print(printable(next(parts)).rstrip("\n"), flush=True)
    if not follow:
        return
    try:
        for text in parts:
            print(printable(text), end="", flush=True)
    except KeyboardInterrupt:
        return
