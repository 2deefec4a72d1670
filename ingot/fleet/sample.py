"""What a random sample of clones says about all of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import comb
from typing import TypeVar

T = TypeVar("T")
CONFIDENCE = 0.95


def chosen(clones: Sequence[T], size: int) -> list[T]:
    """Return so many of the clones, each set of them as likely as any other; all if there are fewer.

    The system's own generator chooses: nobody who knows an earlier choice can tell the next one.
    """
    return random.SystemRandom().sample(clones, min(size, len(clones)))


def most_bad(fleet: int, sample: int, bad: int, confidence: float = CONFIDENCE) -> int:
    """Return how many clones of a fleet are bad at the most, ``bad`` having been found in a sample.

    That is the exact upper limit for drawing without replacement (Clopper and Pearson's, on the
    hypergeometric distribution): the largest number with which so few bad ones are found with a probability
    of more than 1 - ``confidence``. Whatever the true number is, the limit is below it in at most that share
    of samples.
    """
    low, high = bad, fleet - (sample - bad)  # those seen to be good are not bad
    draws = comb(fleet, sample)
    while low < high:
        middle = (low + high + 1) // 2
        ways = sum(comb(middle, k) * comb(fleet - middle, sample - k) for k in range(bad + 1))
        # As whole numbers: the quotient of two that are a thousand digits long.
        if ways * 1_000_000 > draws * round((1 - confidence) * 1_000_000):
            low = middle
        else:
            high = middle - 1
    return low
