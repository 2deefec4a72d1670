"""Fleets on a terminal: the clones of one, or a live screen of several with what is wanted, deployed and
running, the refresh and the alarms.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ingot.quantities import duration, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingot.fleet.status import Clone, FleetStatus, InstanceRefresh
    from ingot.pipeline.inspection.fleets import FleetView

CLONE, HOST, AMI, VERSION, LIFECYCLE, HEALTH, DIGEST = HEADINGS = (
    "clone", "host", "AMI", "version", "lifecycle", "health", "recipe digest"
)  # fmt: skip
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
        return Text(f"{number(len(view.alarms), 'alarm')}, none firing", style="green")
    lines = [f"{alarm.name}: {alarm.reason}" for alarm in firing]
    return Text("\n".join([f"{number(len(firing), 'alarm')} of {len(view.alarms)} in ALARM:", *lines]), "red")


def _clones(status: FleetStatus) -> CloneTable:
    # Of a large fleet those that need a look first, and as many as a screen has room for.
    clones = sorted(status.clones, key=lambda clone: clone.serves)
    rows = [Row(_cells(clone), clone.serves) for clone in clones[:LISTED]]
    if len(clones) > LISTED:
        rows.append(Row({CLONE: f"and {number(len(clones) - LISTED, 'clone')}"}))
    headings = tuple(heading for heading in HEADINGS if heading != AMI)
    return CloneTable(headings, rows, len({clone.digest for clone in clones}) < 2)


@dataclass(frozen=True)
class Row:
    """A row of a table of clones: its cells by their headings."""

    cells: Mapping[str, str]
    serves: bool = True


@dataclass(frozen=True)
class CloneTable:
    """A table of clones that leaves columns out where the terminal is too narrow for all of them.

    ``alike``: all have the same recipe digest, which is said elsewhere.
    """

    headings: tuple[str, ...]
    rows: Sequence[Row]
    alike: bool
    title: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Draw it with as many columns as fit: ids are of use whole, or not at all."""
        headings, unbounded = list(self.headings), options.update(max_width=WIDTH)
        table = self._of(headings)
        for heading in (AMI, DIGEST, HOST, VERSION) if self.alike else (AMI, HOST, VERSION):
            if Measurement.get(console, unbounded, table).maximum <= options.max_width:
                break
            if heading in headings:
                headings.remove(heading)
                table = self._of(headings)
        yield table

    def _of(self, headings: Sequence[str]) -> Table:
        table = Table(title=self.title, title_justify="left")
        for heading in headings:
            table.add_column(heading, no_wrap=True)
        for row in self.rows:
            style = None if row.serves else "yellow"
            table.add_row(*(row.cells.get(heading, "") for heading in headings), style=style)
        return table


def _cells(clone: Clone) -> dict[str, str]:
    return {
        CLONE: clone.instance_id,
        HOST: clone.host,
        AMI: clone.ami_id,
        VERSION: clone.version,
        LIFECYCLE: clone.lifecycle,
        HEALTH: clone.health,
        DIGEST: clone.digest[:SHOWN],
    }


def show(found: FleetStatus) -> None:
    """Print a fleet's status on stdout."""
    console = console_of_stdout()
    what = "no load balancer" if found.group else "a single clone"
    console.print(found.url or f"{found.stack}: {what}", style="bold")
    console.print(_table(found))
    if found.refresh is not None and found.refresh.running:
        console.print(f"refresh {found.refresh.id}: {found.refresh.status}, {found.refresh.percentage} %")
    console.print("steady" if found.steady else "not steady: " + "; ".join(found.reasons()))


def _table(found: FleetStatus) -> CloneTable:
    rows = []
    for clones in _alike(found):
        cells = _cells(clones[0])
        if len(clones) > 1:
            cells |= {CLONE: number(len(clones), "clone"), HOST: ""}
        rows.append(Row(cells, clones[0].serves))
    alike = {clone.digest for clone in found.clones} <= {found.digest}
    return CloneTable(HEADINGS, rows, alike, f"{found.recipe} {found.digest[:SHOWN]}: {_count(found)}")


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
