"""``ingot status``: the load balancer's URL and the clones."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Environment
from ingot.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, Group

    from ingot.aws.session.clients import Clients

app = typer.Typer(add_completion=False)


@app.command()
def status(
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack",
            help="The fleet's stack; with --watch repeatable.",
            show_default="ingot:fleet_stack in cdk.json",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show one live screen until Ctrl-C, alarms included.")
    ] = False,
    env: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show the fleet: its URL, its clones, what they were launched from, and whether they serve.

    The exit code is 1 when a clone, or the registry, has another AMI than the published image of its digest.

    Examples: `ingot status`, `ingot status --stack IngotFleet-prod --json`,
    `ingot status --watch --stack IngotFleet-dev --stack IngotFleet-prod`.
    """
    from ingot.aws.session.clients import connect
    from ingot.pipeline.app import FLEET_STACK, require_stack
    from ingot.pipeline.inspection.fleets import current, require_published_images

    if len(stack or ()) > 1 and not watch:
        raise InputError("several stacks go with --watch")
    if watch and as_json:
        raise InputError("--watch and --json exclude each other")
    clients = connect()
    stacks = [require_stack(FLEET_STACK, name) for name in stack or ()] or [require_stack(FLEET_STACK)]
    if watch:
        _watch(clients, stacks, env)
        return
    fleet = current(clients, stacks[0])
    if as_json:
        print_json(fleet.as_dict())
    else:
        from ingot.cli.terminal.fleets import show

        show(fleet)
    require_published_images(clients, fleet)


def _watch(clients: Clients, stacks: list[str], environment: str | None) -> None:
    """Show fleets until Ctrl-C: on a terminal as one screen, else once for each change."""
    from ingot.cli.terminal.fleets import console_of_stdout, screen
    from ingot.pipeline.inspection.fleets import watch

    console = console_of_stdout()
    screens = (screen(views, time.time()) for views in watch(clients, stacks, environment=environment))
    try:
        (_live if sys.stdout.isatty() else _each_change)(console, screens)
    except KeyboardInterrupt:
        return


def _live(console: Console, screens: Iterator[Group]) -> None:
    from rich.live import Live

    with Live(next(screens), console=console, screen=True, auto_refresh=False) as live:
        for screen in screens:
            live.update(screen, refresh=True)


def _each_change(console: Console, screens: Iterator[Group]) -> None:
    last = ""
    for screen in screens:
        with console.capture() as capture:
            console.print(screen)
        if capture.get() != last:
            last = capture.get()
            print(last, flush=True)
