"""How many blocks travel at a time: what the line carries."""

from __future__ import annotations

import threading

import pytest

from ingot.bake.instance.upload import FIRST_LANES, Lanes
from ingot.retry import StoppedError

GOING = threading.Event()


def after(lanes, *times, arrived=True):
    for seconds in times:
        lanes.take(GOING)
        lanes.give(seconds, arrived=arrived)
    return lanes.open


def test_quick_blocks_open_more_lanes_up_to_the_most():
    lanes = Lanes(32)
    assert lanes.open == FIRST_LANES
    assert after(lanes, *[0.02] * 28) == 32
    assert after(lanes, *[0.02] * 10) == 32


def test_slow_blocks_close_lanes_down_to_one():
    assert after(Lanes(32), 10.0) == FIRST_LANES - 1
    assert after(Lanes(32), *[10.0] * 20) == 1


def test_what_is_neither_changes_nothing():
    assert after(Lanes(32), *[5.0] * 20) == FIRST_LANES


def test_a_broken_block_halves_them():
    lanes = Lanes(32)
    after(lanes, *[0.02] * 28)
    assert after(lanes, 20.0, arrived=False) == 16
    assert after(lanes, *[20.0] * 10, arrived=False) == 1


def test_few_lanes_are_never_more_than_the_most():
    assert after(Lanes(2), *[0.02] * 5) == 2


def test_who_waits_for_a_lane_is_let_go_when_the_transfer_stops():
    lanes, stop = Lanes(1), threading.Event()
    lanes.take(GOING)
    stop.set()
    with pytest.raises(StoppedError):
        lanes.take(stop)
