"""``ingot console``: what a machine or a clone said on its serial console."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.usage.options import image_names, without_slash
from ingot.pipeline.inspection import machines

app = typer.Typer(add_completion=False)
PAUSE = 0.5  # seconds between two looks at a file of this machine
AWS_PAUSE = 5.0  # and between two calls, which AWS counts against the account's rate


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
        bool, typer.Option("--follow", "-f", help="Go on printing what comes; Ctrl-C ends it.")
    ] = False,
) -> None:
    """Print the serial console of a clone, or of a machine that `ingot boot` runs or kept.

    EC2 keeps the last 64 KiB of a clone's console.

    Examples: `ingot console i-0123456789abcdef0`, `ingot console web --follow`.
    """
    from ingot.pipeline.inspection.clones import is_clone

    machine = machines.find(target)
    if machine is None and not is_clone(target):
        machine = machines.require(target)
    if machine is not None:
        read, pause = machine.said, PAUSE
    else:
        from ingot.aws.instances.console import read_console
        from ingot.aws.session.clients import connect
        from ingot.aws.session.failures import translated

        clients = connect()

        def read() -> str:
            with translated():
                return read_console(clients, target)

        pause = AWS_PAUSE
    text = read()
    print(printable(text).rstrip("\n"), flush=True)
    try:
        while follow:
            time.sleep(pause)
            before, text = text, read()
            new = added(before, text)
            if new:
                print(printable(new), end="", flush=True)
    except KeyboardInterrupt:
        return


def added(before: str, now: str) -> str:
    """Return what came after ``before``, of which ``now`` may have lost the beginning."""
    if now.startswith(before):
        return now[len(before) :]
    end = before[-200:]
    at = now.rfind(end)
    return now if at < 0 else now[at + len(end) :]
