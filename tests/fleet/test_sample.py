"""What a sample proves, held against the distribution that it is drawn from."""

import random
from math import comb

import pytest

from ingot.fleet.sample import chosen, most_bad


def chance_of_no_more(fleet, sample, found, bad):
    """The probability of at most ``found`` bad ones in a sample, by counting."""
    ways = sum(comb(bad, k) * comb(fleet - bad, sample - k) for k in range(found + 1))
    return ways / comb(fleet, sample)


@pytest.mark.parametrize(("fleet", "sample", "found"), [(1000, 60, 0), (1000, 60, 2), (50, 10, 0), (7, 3, 1)])
def test_the_limit_is_the_largest_number_that_such_a_sample_does_not_make_unlikely(fleet, sample, found):
    limit = most_bad(fleet, sample, found)
    assert chance_of_no_more(fleet, sample, found, limit) > 0.05
    assert chance_of_no_more(fleet, sample, found, limit + 1) <= 0.05


def test_known_values():
    assert most_bad(1000, 1000, 3) == 3, "who asks all knows"
    assert most_bad(1000, 59, 0) == 48
    assert most_bad(1000, 300, 0) == 8
    assert most_bad(2, 1, 1) == 2
    assert most_bad(100_000, 59, 0) in range(4_900, 5_000), "the rule of 59: less than 5 %"


def test_the_limit_holds_as_often_as_it_says():
    """Draws from a fleet with 40 bad clones: the limit is below 40 in at most one of twenty."""
    source = random.Random(7)
    fleet = [number < 40 for number in range(1000)]
    limits = {found: most_bad(1000, 80, found) for found in range(41)}
    wrong = sum(limits[sum(source.sample(fleet, 80))] < 40 for _ in range(4000))
    assert 0 < wrong / 4000 < 0.06


def test_a_sample_has_each_clone_once_and_all_can_be_in_it():
    fleet = [f"i-{number}" for number in range(10)]
    seen = set()
    for _ in range(200):
        some = chosen(fleet, 3)
        assert len(set(some)) == 3
        seen |= set(some)
    assert seen == set(fleet)
    assert sorted(chosen(fleet, 99)) == fleet
