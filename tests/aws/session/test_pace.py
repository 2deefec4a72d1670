"""How fast an operation is called: a bucket, and a rate that follows AWS's refusals."""

import pytest

from ingot import retry
from ingot.aws.session.pace import BURST, REFILL, START, Pace
from ingot.retry import driven_by
from tests.aws.driven_clock import StoppedClock


@pytest.fixture(autouse=True)
def clock():
    clock = StoppedClock()
    with driven_by(clock):
        yield clock


def test_a_burst_goes_at_once_and_the_rest_at_the_rate(clock):
    pace = Pace(8, 64, rise=0)
    for _ in range(64):
        pace.wait()
    assert clock.waited == 0
    for _ in range(936):
        pace.wait()
    assert clock.waited == 936 / 8
    clock.pause(3600)
    for _ in range(64):
        pace.wait()
    assert clock.waited == 936 / 8 + 3600, "an hour without requests fills the bucket"
    pace.wait()
    assert clock.waited > 936 / 8 + 3600, "and no further"


def test_the_rate_rises_to_what_aws_refills_while_nothing_is_refused(clock):
    pace = Pace()
    assert pace.rate == START
    for _ in range(1000):
        pace.wait()
    assert pace.rate == REFILL
    assert (1000 - BURST) / REFILL < clock.waited < 55, "a thousand requests take less than a minute"


def test_refusals_halve_the_rate_and_those_of_one_second_count_once(clock):
    pace = Pace()
    clock.pause(10)
    for _ in range(8):
        pace.refused()
    assert pace.rate == REFILL / 2
    before = clock.waited
    pace.wait()
    assert clock.waited - before == pytest.approx(2 / REFILL), "AWS's bucket is empty: no burst is left"
    for _ in range(20):
        clock.pause(1)
        pace.refused()
    assert 1 <= pace.rate < 3, "it never stands still"


def test_it_shares_with_another_caller(clock):
    """Two callers in one bucket of AWS's: both go on, and together they have what it is refilled by."""
    ours, theirs = Pace(), Pace()
    tokens, at, served, refused = 100.0, retry.now(), {ours: 0, theirs: 0}, 0
    turn = {ours: 0.0, theirs: 0.0}
    while clock.waited < 120:
        pace = min(turn, key=turn.get)
        clock.waited = max(clock.waited, turn[pace])
        tokens, at = min(100.0, tokens + (retry.now() - at) * REFILL), retry.now()
        if tokens >= 1:
            tokens -= 1
            served[pace] += 1
        else:
            pace.refused()
            refused += 1
        turn[pace] = clock.waited + 1 / pace.rate
    assert 0.5 < served[ours] / served[theirs] < 2
    assert sum(served.values()) > 0.8 * 120 * REFILL
    assert refused < 0.1 * sum(served.values())
