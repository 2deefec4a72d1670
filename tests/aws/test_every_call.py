"""Every call of a publish, directly and by a builder instance, under every fault of the network and of AWS.

The calls are those of a recorded run: a call that is added without being listed here fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ingot import retry
from ingot.aws.publish.publish import publish as publish_image
from ingot.errors import PublishError
from tests.aws.driven_clock import DrivenClock
from tests.aws.fault_proxy import ANY
from tests.aws.support import holdings, make_image

DIRECT = {
    "CompleteSnapshot",
    "CreateTags",
    "DescribeImages",
    "DescribeInstances",
    "DescribeSnapshots",
    "GetCallerIdentity",
    "GetConsoleOutput",
    "GetParameter",
    "PutParameter",
    "PutSnapshotBlock",
    "RegisterImage",
    "RunInstances",
    "StartSnapshot",
    "TerminateInstances",
}
BY_BUILDER = DIRECT | {
    "CreateLogStream",
    "DeleteObject",
    "DescribeInstanceTypes",
    "DescribeLaunchTemplateVersions",
    "DescribeRouteTables",
    "DescribeSubnets",
    "GetLogEvents",
    "GetObject",
    "ListObjectsV2",
    "PutLogEvents",
    "PutObject",
}
CALLS = {"directly": DIRECT, "by a builder": BY_BUILDER}
LATE = 150.0
LONG = 1e7  # seconds: the clock is driven, so only what never comes ends a wait
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


@dataclass
class Way:
    """A way to publish: ``run`` does it. ``calls``: what it asks of AWS."""

    run: Any
    calls: set[str]
    console: Any


@pytest.fixture
def clock(proxy):
    clock = DrivenClock()
    proxy.clock = clock.now
    with retry.driven_by(clock):
        yield clock


@pytest.fixture(params=CALLS)
def way(request, clock, proxy, direct):
    """The account, and a publish in it."""
    if request.param == "directly":
        image = make_image(request.getfixturevalue("tmp_path"), ["a", None, *"bcd"])
        request.getfixturevalue("passing")(image)
        settings = replace(request.getfixturevalue("settings"), pace=1.0)
        arguments = (image, request.getfixturevalue("clients"), settings)
        way = Way(lambda: publish_image(*arguments, lambda _line: None), DIRECT, proxy.console)
    else:
        publish = request.getfixturevalue("publish")
        limits = {"boot_limit": LONG, "silence_limit": LONG, "limit": LONG}
        way = Way(lambda: publish(waits=True, **limits), BY_BUILDER, proxy.console)
    proxy.made.clear()
    return way


@pytest.fixture
def before(way, direct):
    """What the account holds before the publish."""
    return holdings(direct)


def added(before, direct):
    """Return what the account holds besides, by kind."""
    found = holdings(direct)
    more = {kind: sorted(set(ids) - set(before.get(kind, []))) for kind, ids in found.items()}
    return {kind: ids for kind, ids in more.items() if ids}


def assert_published_once(published, before, direct):
    assert added(before, direct) == {
        "snapshots": [published.snapshot_id],
        "images": [published.ami_id],
        "parameters": [f"/ingot/web/{published.digest}"],
    }


def test_the_calls_are_those_of_a_recorded_run(way, before, proxy, direct):
    assert_published_once(way.run(), before, direct)
    assert set(proxy.seen) == way.calls


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_is_survived(fault, way, before, proxy, direct):
    shown = proxy.fail(ANY, **FAULTS[fault])
    assert_published_once(way.run(), before, direct)
    # A builder whose log cannot be opened tells its console alone.
    assert way.calls - {"PutLogEvents"} <= set(shown.shown) <= way.calls


def test_what_was_made_may_be_unknown_for_two_and_a_half_minutes(way, before, proxy, direct, clock):
    proxy.late = LATE
    assert_published_once(way.run(), before, direct)
    assert clock.waited > LATE


# Their answers are not needed, or they are asked before anything is made. Whether an instance has ended is
# looked for whatever was answered.
HARMLESS = {"DeleteObject", "ListObjectsV2", "TerminateInstances", *(BY_BUILDER - DIRECT)}
# Who calls is asked once, when nothing has been made yet.
HOST = sorted(BY_BUILDER - {"CreateLogStream", "PutLogEvents", "GetCallerIdentity"})


# Either fault leaves the caller without an answer, so the operations take turns.
WITHOUT_ANSWER = [{"shape": "malformed"}, {"code": "InternalError", "status": 500, "lost": True}]


@pytest.mark.parametrize(
    ("operation", "how"), [(name, WITHOUT_ANSWER[number % 2]) for number, name in enumerate(HOST)], ids=HOST
)
def test_what_is_not_survived_names_what_is_left_and_the_next_run_takes_it_away(
    operation, how, way, before, proxy, direct
):
    """The operation does its work and never answers, from when the first thing was made."""
    if operation not in way.calls:
        pytest.skip("not a call of this way")
    proxy.fail(operation, once_made=True, **how)
    said = ""
    try:
        way.run()
    except PublishError as error:
        said = str(error)
        left = [name for ids in added(before, direct).values() for name in ids]
        # What was made without an answer has no name yet: it is described by what it was asked by.
        assert [name for name in left if name not in said and "no answer came" not in said] == []
    proxy.heal()
    proxy.console = way.console
    assert_published_once(way.run(), before, direct)
    assert said or operation in HARMLESS
