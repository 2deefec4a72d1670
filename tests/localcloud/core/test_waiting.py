"""The local cloud waits in real time, whatever clock the tests of AWS's clients drive."""

from ingot.retry import driven_by
from localcloud.core.waiting import wait_until
from tests.aws.driven_clock import StoppedClock


def test_a_condition_is_looked_at_until_it_holds_by_the_real_clock():
    looks = iter([False, False, True])
    clock = StoppedClock()
    with driven_by(clock):
        assert wait_until(lambda: next(looks), limit=60, pause=0.001)
    assert clock.waited == 0


def test_it_is_given_up_at_its_limit():
    looks = []
    assert not wait_until(lambda: bool(looks.append(1)), limit=0.05, pause=0.001)
    assert len(looks) > 1
