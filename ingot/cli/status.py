"""``ingot status``: the load balancer's URL and the clones."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.options import AsJson, Environment
from ingot.cli.terminal import print_json
from ingot.errors import InputError
from ingot.quantities import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, Group
    from rich.table import Table

    from ingot.aws.session.clients import Clients
    from ingot.fleet.status import Clone, FleetStatus

app = typer.Typer(add_completion=False)
PAUSE = 5.0  # seconds between two looks: some calls each, which AWS counts against the account's rate

# Up to so many clones have a row each; of more, those that are alike share one, unless they are a few.
LISTED, APART = 20, 3


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
    from ingot.aws.session.failures import translated
    from ingot.fleet.status import fleet_status
    from ingot.fleet.verify import require_right_images
    from ingot.pipeline.app import FLEET_STACK, require_stack
    from ingot.store import Store

    if len(stack or ()) > 1 and not watch:
        raise InputError("several stacks go with --watch")
    if watch and as_json:
        raise InputError("--watch and --json exclude each other")
    with translated():
        clients = connect()
        stacks = [require_stack(FLEET_STACK, name) for name in stack or ()] or [require_stack(FLEET_STACK)]
        if watch:
            _watch(clients, stacks, env)
            return
        found = fleet_status(clients, stacks[0])
    if as_json:
        print_json(found.as_dict())
    else:
        show(found)
    with translated():
        require_right_images(clients, found, Store().manifest)


def _watch(clients: Clients, stacks: list[str], environment: str | None) -> None:
    """Show fleets until Ctrl-C: on a terminal as one screen, else once for each change."""
    from rich.console import Console

    from ingot.cli.screen import screen
    from ingot.pipeline.inspection.fleets import look

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)

    def render() -> Group:
        views = [look(clients, name, environment=environment) for name in stacks]
        return screen(views, time.time())

    try:
        if sys.stdout.isatty():
            _live(console, render)
        else:
            _each_change(console, render)
    except KeyboardInterrupt:
        return


def _live(console: Console, render: Callable[[], Group]) -> None:
    from rich.live import Live

    with Live(render(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(PAUSE)
            live.update(render(), refresh=True)


def _each_change(console: Console, render: Callable[[], Group]) -> None:
    last = ""
    while True:
        with console.capture() as capture:
            console.print(render())
        if capture.get() != last:
            last = capture.get()
            print(last, flush=True)
        time.sleep(PAUSE)


def show(found: FleetStatus) -> None:
    """Print a fleet's status on stdout."""
    from rich.console import Console

    # Without a terminal nothing says how wide a line may be, and a script wants whole ids.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(found.url or f"{found.stack}: no load balancer", style="bold")
    console.print(_table(found))
    if found.refresh is not None and found.refresh.running:
        console.print(f"refresh {found.refresh.id}: {found.refresh.status}, {found.refresh.percentage} %")
    console.print("steady" if found.steady else "not steady: " + "; ".join(found.reasons()))


def _table(found: FleetStatus) -> Table:
    from rich.table import Table

    table = Table(
        title=f"{found.recipe} {found.digest[:12]}: {_count(found)}",
        title_justify="left",
    )
    for heading in ("clone", "host", "AMI", "version", "lifecycle", "health", "recipe digest"):
        table.add_column(heading, no_wrap=True)
    for clones in _alike(found):
        clone = clones[0]
        alone = len(clones) == 1
        table.add_row(
            clone.instance_id if alone else number(len(clones), "clone"),
            clone.host if alone else "",
            clone.ami_id,
            clone.version,
            clone.lifecycle,
            clone.health,
            clone.digest[:12],
            style=None if clone.serves else "yellow",
        )
    return table


def _alike(found: FleetStatus) -> list[list[Clone]]:
    """Return the clones, each by itself; in a large fleet, more than a few that are alike together."""
    if len(found.clones) <= LISTED:
        return [[clone] for clone in found.clones]
    groups: dict[tuple[str, ...], list[Clone]] = {}
    for clone in found.clones:
        key = (clone.ami_id, clone.version, clone.lifecycle, clone.health, clone.digest)
        groups.setdefault(key, []).append(clone)
    rows: list[list[Clone]] = []
    for clones in sorted(groups.values(), key=len, reverse=True):
        rows += [clones] if len(clones) > APART else [[clone] for clone in clones]
    return rows


def _count(found: FleetStatus) -> str:
    """Return how many clones there are; during a refresh that is more than are desired."""
    clones = number(len(found.clones), "clone")
    return clones if len(found.clones) == found.desired else f"{clones} ({found.desired} desired)"
