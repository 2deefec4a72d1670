"""Trying again: how long to wait, how often, and which failures are worth it. Callers say what an error
means.

The table of policies is here and nowhere else, with two exceptions: boto3's own retries of control-plane
calls (:mod:`ingot.aws.session.clients`), and ``ingot/bake/instance/bootstrap.py``, which is user data and can
import nothing.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Callable, Optional, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """Pauses from ``first`` to ``longest`` seconds, growing by ``factor``; ``attempts``: of a request."""

    first: float
    longest: float
    factor: float = 2.0
    attempts: int = 0

    def limit(self, failures: int) -> float:
        """Return the longest pause after so many failures in a row, in seconds; 0 after none."""
        if failures == 0:
            return 0.0
        return min(self.longest, self.first * self.factor ** min(failures - 1, 30))


# Blocks of a snapshot, in both directions. Exponential backoff with jitter and a cap, as the AWS SDKs do it;
# their cap is 20 s (AWS SDKs and Tools Reference Guide, "Retry behavior"). Blocks are small and many, so
# less. A request that failed ten times in a row, which takes up to 26 s, will not succeed at the next try.
BLOCKS = Backoff(first=0.2, longest=5.0, attempts=10)
# Questions to a control plane until a state is reached. The longest pause is that of boto3's waiters for EC2
# (15 s), or less.
POLLING = Backoff(first=0.2, longest=10.0, factor=1.5)
# Packages from a mirror: apt retries three times (apt.conf(5), Acquire::Retries); a busy mirror needs a
# moment.
MIRROR = Backoff(first=1.0, longest=2.0, attempts=3)
# Seconds for which EBS direct may not know a snapshot that it started: 56 s was seen. Two minutes are on the
# safe side.
SETTLING = 120.0


class Verdict(Enum):
    """What an error means: the request would fail again, may pass, or names what does not exist (yet)."""

    FINAL = "final"
    TRANSIENT = "transient"
    MISSING = "missing"


class StoppedError(Exception):
    """Another worker failed, so this one gives up too. It never leaves a transfer."""


@dataclass
class Retries:
    """How the requests of one transfer are repeated: each by ``backoff``, and at most ``budget`` repetitions
    in all.

    ``classify`` says what an error means; None: it is not the request's, and is raised as it is. ``failure``
    gives the error to raise for (what was done, the last error, the number of the attempt; 0: the budget is
    used up). ``settling`` is the time (s, monotonic) until which MISSING is worth another try. ``pace``
    scales the pauses; tests set it near 0. ``stop`` ends all waiting.
    """

    backoff: Backoff
    classify: Callable[[Exception], Optional[Verdict]]
    failure: Callable[[str, Exception, int], Exception]
    budget: int
    settling: float = 0.0
    pace: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, request: Callable[[], T], what: str) -> T:
        """Return the answer of ``request``; raise what ``failure`` gives when it cannot be had."""
        attempt = 0
        while True:
            if self.stop.is_set():
                raise StoppedError
            try:
                return request()
            except Exception as error:
                verdict = self.classify(error)
                if verdict is None:
                    raise
                attempt += 1
                if not self._worth(verdict, attempt):
                    raise self.failure(what, error, attempt) from error
                if verdict is not Verdict.MISSING:  # that has a limit of its own, in time
                    self._spend(what, error)
            limit = self.backoff.limit(attempt)
            self.stop.wait(self.pace * random.uniform(limit / 10, limit))  # noqa: S311 - jitter, not a secret

    def _worth(self, verdict: Verdict, attempt: int) -> bool:
        """Tell whether the same request may succeed at the next try."""
        if verdict is Verdict.MISSING:
            return time.monotonic() < self.settling
        return verdict is Verdict.TRANSIENT and attempt < self.backoff.attempts

    def _spend(self, what: str, error: Exception) -> None:
        with self._lock:
            self.budget -= 1
            if self.budget < 0:
                raise self.failure(what, error, 0) from error
