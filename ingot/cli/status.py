"""``ingot status``: the load balancer's URL and the clones."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.options import FleetStack
from ingot.quantities import number

if TYPE_CHECKING:
    from rich.table import Table

    from ingot.fleet.status import Clone, FleetStatus

app = typer.Typer(add_completion=False)

# Up to so many clones have a row each; of more, those that are alike share one, unless they are a few.
LISTED, APART = 20, 3


@app.command()
def status(
    stack: FleetStack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the fleet: its URL, its clones, what they were launched from, and whether they serve.

    The exit code is 1 when a clone, or the registry, has another AMI than the published image of its digest.
    """
    from ingot.aws.session.clients import connect
    from ingot.aws.session.failures import translated
    from ingot.fleet.status import fleet_status
    from ingot.fleet.verify import require_right_images
    from ingot.pipeline.app import FLEET_STACK, require_stack
    from ingot.store import Store

    with translated():
        clients = connect()
        found = fleet_status(clients, require_stack(FLEET_STACK, stack))
    if as_json:
        print(json.dumps(found.as_dict(), sort_keys=True))
    else:
        show(found)
    with translated():
        require_right_images(clients, found, Store().manifest)


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
