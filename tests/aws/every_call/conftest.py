"""Each way to publish, in an account of its own, under a clock that jumps over every pause."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingot import retry
from ingot.aws.publish.publish import publish as publish_image
from tests.aws.driven_clock import DrivenClock
from tests.aws.every_call.ways import BY_BUILDER, CALLS, DIRECT, Way
from tests.aws.support import holdings, make_image


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
        way = Way(lambda _limit: publish_image(*arguments, lambda _line: None), DIRECT, proxy.console)
    else:
        publish = request.getfixturevalue("publish")
        limits = ("boot_limit", "silence_limit", "limit")
        way = Way(
            lambda limit: publish(waits=True, **dict.fromkeys(limits, limit)), BY_BUILDER, proxy.console
        )
    proxy.made.clear()
    return way


@pytest.fixture
def before(way, direct):
    """What the account holds before the publish."""
    return holdings(direct)
