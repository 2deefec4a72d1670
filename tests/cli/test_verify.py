"""What `ingot verify fleet` says of a clone."""

from dataclasses import replace

import pytest

from ingot.cli.verify import clone_line
from ingot.fleet.verify import CloneVerdict

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
