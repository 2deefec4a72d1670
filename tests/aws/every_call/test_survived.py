"""Every call of a publish, directly and by a builder instance, under every fault that passes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.every_call.ways import LATE, LONG, assert_published_once
from tests.aws.fault_proxy import ANY

FAULTS: dict[str, dict[str, Any]] = {
    "throttled for a minute": {"code": "ThrottlingException", "seconds": 60.0},
    "slowed down for a minute": {"code": "RequestLimitExceeded", "status": 503, "seconds": 60.0},
    "failing in the server": {"code": "InternalError", "status": 500, "times": 3},
    "answered with something else": {"shape": "malformed", "times": 2},
    "answered with nothing": {"shape": "empty", "times": 2},
    "cut off in the answer": {"shape": "cut", "times": 2},
    "cut off in the request": {"shape": "cut-request", "times": 2},
    "done, and the answer lost": {"lost": True, "times": 2},
}


def test_the_calls_are_those_of_a_recorded_run(way, before, proxy, direct):
    assert_published_once(way.run(LONG), before, direct)
    assert set(proxy.seen) == way.calls


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_is_survived(fault, way, before, proxy, direct):
    shown = proxy.fail(ANY, **FAULTS[fault])
    assert_published_once(way.run(LONG), before, direct)
    # A builder whose log cannot be opened tells its console alone.
    assert way.calls - {"PutLogEvents"} <= set(shown.shown) <= way.calls


def test_what_was_made_may_be_unknown_for_two_and_a_half_minutes(way, before, proxy, direct, clock):
    proxy.late = LATE
    assert_published_once(way.run(LONG), before, direct)
    assert clock.waited > LATE
