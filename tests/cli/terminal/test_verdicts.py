"""What `ingot verify fleet` says of a clone."""

from dataclasses import replace

import pytest

from ingot.cli.terminal.verdicts import clone_line, fleet_lines, fleet_summary
from ingot.fleet.verify import CloneVerdict, FleetVerdict

GOOD = CloneVerdict("i-1", "ami-1", "ab" * 32)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"age": 90}, ["i-1  ami-1  abababababab  equals its manifest, 90 s ago"]),
        ({"age": 400}, ["i-1  ami-1  abababababab  equals its manifest, 6 min ago"]),
        ({}, ["i-1  ami-1  abababababab  equals its manifest, at no known time"]),
        (
            {"sections": ("files",), "differs": ("/etc/motd changed",), "age": 5},
            ["i-1  ami-1  abababababab  DIFFERS", "  sections: files", "  /etc/motd changed"],
        ),
        ({"problem": "it is silent"}, ["i-1  ami-1  abababababab  NOT PROVED", "  it is silent"]),
    ],
)
def test_a_clone_is_told_with_its_verdict(changes, lines):
    assert clone_line(replace(GOOD, **changes)).splitlines() == lines


def fleet(*clones, size=None):
    return FleetVerdict("Fleet", GOOD.digest, clones, len(clones) if size is None else size)


def numbered(count, start=1, **changes):
    return [replace(GOOD, instance_id=f"i-{start + n}", **({"age": 60} | changes)) for n in range(count)]


def test_each_clone_of_a_small_fleet_has_its_line():
    assert len(fleet_lines(fleet(*numbered(20)))) == 20


def test_clones_of_a_large_fleet_that_are_alike_share_a_line_and_those_that_differ_are_named():
    silent = "no inventory on its console within 7 s; the console ends:\n    "
    verdict = fleet(
        *numbered(1, 1001, sections=("files",), differs=("/etc/motd changed",)),
        *numbered(996, age=100),
        *numbered(1, 997, age=500),
        *numbered(10, 2001, problem="the stack asks for another"),
        *numbered(1, 3001, problem=silent + "one"),
        *numbered(1, 3002, problem=silent + "two"),
    )
    assert "\n".join(fleet_lines(verdict)).splitlines() == [
        "997 clones  ami-1  abababababab  equal their manifest, 8 min ago or later",
        "10 clones  ami-1  abababababab  NOT PROVED",
        "  i-2001, i-2002, i-2003, i-2004, i-2005, i-2006, i-2007, i-2008, and 2 other clones",
        "  the stack asks for another",
        "2 clones  ami-1  abababababab  NOT PROVED",
        "  i-3001, i-3002",
        "  no inventory on its console within 7 s; the console ends:",
        "    one",
        "i-1001  ami-1  abababababab  DIFFERS",
        "  sections: files",
        "  /etc/motd changed",
    ]
    assert fleet_summary(verdict) == "997 of 1010 clones equal their manifest"


def test_a_sample_is_told_with_what_it_proves():
    assert fleet_summary(fleet(*numbered(60), size=1000)) == (
        "60 of 60 clones chosen at random equal their manifest; with a confidence of 95 %, "
        "at most 47 of all 1,000 clones do not (4.7 %)"
    )
