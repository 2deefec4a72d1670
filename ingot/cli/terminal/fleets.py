"""Fleets on a terminal: the clones of one, or a live screen of several with what is wanted, deployed and
running, the refresh and the alarms.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ingot.quantities import duration, number

if TYPE_CHECKING:
    from ingot.fleet.status import Clone, FleetStatus, InstanceRefresh
    from ingot.pipeline.inspection.fleets import FleetView

SHOWN = 12  # hex digits of a digest
_BAR = 40  # columns
LISTED = 20  # clones on a screen
# In a table, up to so many clones have a row each; of more, those that are alike share one, unless they are
# a few.
ALONE, APART = 20, 3
WIDTH = 160  # columns without a terminal: nothing says how wide a line may be, and a script wants whole ids


def console_of_stdout() -> Console:
    """Return stdout as a console: as wide as the terminal, and wide without one."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def screen(views: list[FleetView], now: float) -> Group:
    """Return one screen of fleets at ``now``, Unix seconds."""
    parts: list[RenderableType] = []
    for view in views:
        parts += [*_fleet(view, now), ""]
    parts.append(Text("Ctrl-C ends it", style="dim"))
    return Group(*parts)


def _fleet(view: FleetView, now: float) -> list[RenderableType]:
    status = view.status
    head = Text.assemble((status.stack, "bold"), "  ", status.url or "no load balancer")
    parts: list[RenderableType] = [head, _digests(view)]
    if status.refresh is not None and status.refresh.running:
        parts.append(_refresh(status.refresh, now))
    reasons = status.reasons()
    parts.append(Text("steady", style="green") if not reasons else Text("; ".join(reasons), style="yellow"))
    parts += [_alarms(view), _clones(status)]
    return parts


def _digests(view: FleetView) -> Table:
    """Return wanted, deployed and running digests below each other; what differs stands out."""
    table = Table.grid(padding=(0, 2))
    deployed = view.status.digest
    wanted = "no recipe here" if view.wanted is None else view.wanted[:SHOWN]
    differs = view.wanted not in (None, deployed)
    table.add_row("wanted", Text(wanted, style="yellow" if differs else ""))
    table.add_row("deployed", deployed[:SHOWN])
    for digest, count in view.running.items():
        style = "" if digest == deployed else "yellow"
        table.add_row("running", Text(f"{digest[:SHOWN]}  on {number(count, 'clone')}", style=style))
    return table


def _refresh(refresh: InstanceRefresh, now: float) -> Table:
    table = Table.grid(padding=(0, 2))
    left = refresh.seconds_left(now)
    words = [f"{refresh.percentage} %", refresh.status]
    words += [f"about {duration(left)} left"] if left is not None else []
    if refresh.checkpoints:
        words.append(f"pauses at {', '.join(f'{point} %' for point in refresh.checkpoints)}")
    bar = ProgressBar(total=100, completed=refresh.percentage, width=_BAR)
    table.add_row("refresh", bar, ", ".join(words))
    if refresh.reason:
        table.add_row("", "", Text(refresh.reason, style="dim"))
    return table


def _alarms(view: FleetView) -> Text:
    firing = [alarm for alarm in view.alarms if alarm.fires]
    if not view.alarms:
        return Text("no alarms", style="dim")
    if not firing:
        return Text(f"{number(len(view.alarms), 'alarm')}, none fires", style="green")
    lines = [f"{alarm.name}: {alarm.reason}" for alarm in firing]
    return Text("\n".join([f"{number(len(firing), 'alarm')} of {len(view.alarms)} in ALARM:", *lines]), "red")


def _clones(status: FleetStatus) -> Table:
    table = Table()
    for heading in ("clone", "host", "version", "lifecycle", "health", "recipe digest"):
        table.add_column(heading, no_wrap=True)
    # Of a large fleet those that need a look first, and as many as a screen has room for.
    clones = sorted(status.clones, key=lambda clone: clone.serves)
    for clone in clones[:LISTED]:
        table.add_row(*_clone(clone), style=None if clone.serves else "yellow")
    if len(clones) > LISTED:
        table.add_row(f"and {number(len(clones) - LISTED, 'clone')}", "", "", "", "", "")
    return table


def _clone(clone: Clone) -> tuple[str, ...]:
    digest = clone.digest[:SHOWN]
    return (clone.instance_id, clone.host, clone.version, clone.lifecycle, clone.health, digest)


def show(found: FleetStatus) -> None:
    """Print a fleet's status on stdout."""
    console = console_of_stdout()
    what = "no load balancer" if found.group else "a single clone"
    console.print(found.url or f"{found.stack}: {what}", style="bold")
    console.print(_table(found))
    if found.refresh is not None and found.refresh.running:
        console.print(f"refresh {found.refresh.id}: {found.refresh.status}, {found.refresh.percentage} %")
    console.print("steady" if found.steady else "not steady: " + "; ".join(found.reasons()))


def _table(found: FleetStatus) -> Table:
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
    if len(found.clones) <= ALONE:
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
