"""When an inventory was made, and lines that are none."""

from __future__ import annotations

import json

import pytest

from ingot.fleet.inventory import FRESH, CloneInventory
from tests.aws.support import BOOT

GOOD = {
    "boot": BOOT,
    "differs": ["/etc/motd changed"],
    "digest": "ab" * 32,
    "recipe": "web",
    "sections": {"files": "cd" * 32},
    "sequence": 3,
    "time": 1_000_000,
    "uptime": 1800,
}
LAUNCHED = GOOD["time"] - GOOD["uptime"] - 5.0  # the firmware and the loader take some seconds


def age(now, *, launched=LAUNCHED, **changes):
    return CloneInventory.of(GOOD | changes).age(launched=launched, now=now)


def test_what_a_clone_says_is_read():
    report = CloneInventory.of(json.loads(json.dumps(GOOD)))
    assert (report.sequence, report.differs) == (3, ("/etc/motd changed",))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"boot": "one"}, "boot 'one'"),
        ({"time": "1"}, "time '1'"),
        ({"uptime": -1}, "uptime -1"),
        ({"sequence": True}, "sequence True"),
        ({"digest": "AB" * 32}, "digest"),
        ({"sections": {"files": None}}, "sections"),
        ({"sections": []}, "sections"),
        ({"differs": [1]}, "differs"),
        ({"more": 1}, "fields are not those .*more"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        CloneInventory.of(GOOD | changes)


def test_a_line_of_an_image_that_does_not_say_when_is_refused():
    with pytest.raises(ValueError, match="time"):
        CloneInventory.of({key: value for key, value in GOOD.items() if key != "time"})


def test_the_age_is_what_passed_since():
    assert age(1_000_060) == pytest.approx(60)


def test_a_restart_makes_no_line_old_by_the_launch_alone():
    """A week after the launch; the uptime is that of the restart half an hour ago."""
    assert age(1_000_060, launched=1_000_000 - 7 * 86400) == pytest.approx(60)


def test_a_clock_that_is_fast_makes_no_old_line_new():
    later = 1_000_000 + 7200
    assert age(later, time=later + 86400) == pytest.approx(7205)


def test_a_clock_that_is_slow_is_not_believed():
    """Its line says that it was made before the launch; EC2's clock knows better."""
    assert age(1_000_060, time=5) == pytest.approx(65)


def test_without_a_launch_the_clones_clock_has_to_do():
    assert age(1_000_060, launched=None) == pytest.approx(60)
    assert age(1_000_060, launched=None, time=3_000_000) == float("inf")


def test_a_clock_that_is_a_little_ahead_gives_no_negative_age():
    assert age(1_000_000 - 30, launched=None) == 0


def test_the_bound_lets_the_timer_have_its_time():
    assert FRESH > (15 + 1) * 60
