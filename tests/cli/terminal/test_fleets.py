"""The live screen of fleets: what differs stands out, and a large fleet fits."""

from dataclasses import replace

from rich.console import Console

from ingot.cli.terminal.fleets import LISTED, screen
from ingot.fleet.alarms import Alarm
from ingot.fleet.status import Clone, FleetStatus, InstanceRefresh
from ingot.pipeline.inspection.fleets import FleetView

OLD, NEW = "aa" * 32, "bb" * 32
CLONE = Clone("i-1", "ami-1", "2", "InService", "healthy", "web", OLD)
STATUS = FleetStatus("IngotFleet", "http://x", "group", "web", OLD, 1, "2", (CLONE,), None)
VIEW = FleetView(STATUS, OLD, (Alarm("errors", "OK", ""),))


def shown(view, now=0.0, width=120):
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(screen([view], now))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_fleet_at_rest():
    lines = shown(VIEW)
    assert lines[0] == "IngotFleet  http://x"
    assert "wanted    aaaaaaaaaaaa" in lines
    assert "deployed  aaaaaaaaaaaa" in lines
    assert "running   aaaaaaaaaaaa  on 1 clone" in lines
    assert "steady" in lines
    assert "1 alarm, none firing" in lines


def test_a_refresh_has_its_checkpoints_and_a_time_left():
    refresh = InstanceRefresh("r", "InProgress", 25, "waiting for health", started=0.0, checkpoints=(50, 100))
    clones = (CLONE, replace(CLONE, instance_id="i-2", digest=NEW))
    lines = shown(replace(VIEW, wanted=NEW, status=replace(STATUS, refresh=refresh, clones=clones)), 100.0)
    [line] = [line for line in lines if line.startswith("refresh  ")]
    assert line.endswith("25 %, InProgress, about 5 min left, pauses at 50 %, 100 %")
    assert "waiting for health" in [line.strip() for line in lines]
    assert "wanted    bbbbbbbbbbbb" in lines
    assert {"running   aaaaaaaaaaaa  on 1 clone", "running   bbbbbbbbbbbb  on 1 clone"} <= set(lines)


def test_alarms_that_fire_say_why():
    alarms = (Alarm("errors", "ALARM", "3 datapoints"), Alarm("latency", "OK", ""))
    lines = shown(replace(VIEW, alarms=alarms))
    assert lines[lines.index("1 alarm of 2 in ALARM:") + 1] == "errors: 3 datapoints"


def test_on_80_columns_ids_and_states_are_whole():
    """Columns that say less are left out: the digest that all have, or else the host."""
    first = replace(CLONE, instance_id="i-02222a4819fedbe48", host="ip-172-20-192-4")
    alike = shown(replace(VIEW, status=replace(STATUS, clones=(first,))), width=80)
    [row] = [line for line in alike if line.startswith("│ i-")]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == [first.instance_id, first.host, "2", "InService", "healthy"]
    mixed = (first, replace(first, instance_id="i-cc7cd56b837c9658f", digest=NEW))
    lines = shown(replace(VIEW, status=replace(STATUS, clones=mixed)), width=80)
    rows = [line for line in lines if line.startswith("│ i-")]
    assert [row.split()[-2] for row in rows] == [OLD[:12], NEW[:12]]
    assert all(len(line) <= 80 for line in (*alike, *lines))


def test_a_large_fleet_fits_and_shows_what_needs_a_look():
    clones = tuple(replace(CLONE, instance_id=f"i-{number}") for number in range(1000))
    sick = replace(CLONE, instance_id="i-sick", health="unhealthy")
    lines = shown(replace(VIEW, status=replace(STATUS, desired=1001, clones=(*clones, sick))))
    assert len(lines) < LISTED + 16
    rows = [line for line in lines if line.startswith("│ i-")]
    assert rows[0].startswith("│ i-sick ")
    assert any(f"and {1001 - LISTED} clones" in line for line in lines)


def test_without_a_recipe_and_a_load_balancer():
    lines = shown(replace(VIEW, wanted=None, status=replace(STATUS, url="")))
    assert lines[0] == "IngotFleet  no load balancer"
    assert "wanted    no recipe here" in lines
