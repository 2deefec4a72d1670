"""Retries with a budget: one transfer of thousands of blocks may retry often, but not without end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ingot.aws.session.failures import AwsError, explain, hint_for, is_missing, is_transient
from ingot.errors import PublishError

# AWS's own figure for exponential backoff with full jitter is a cap of 20 s; blocks are small and many, so less.
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
# A request that failed so often in a row will not succeed at the next try.
ATTEMPTS = 10
# A new snapshot may be unknown to EBS direct for a while: 56 s was seen. Two minutes are on the safe side.
SETTLING = 120.0


T = TypeVar("T")


class StoppedError(Exception):
    """Another worker failed; this one gives up too. Never leaves the transfer."""


@dataclass
class Retries:
    """How often the requests of one transfer may be retried, in all (``budget``).

    ``settling`` is the time (s, monotonic) until which "does not exist" is worth another try. ``pace`` scales the delays;
    tests set it near 0. ``stop`` ends all waiting.
    """

    budget: int
    settling: float = 0.0
    pace: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, request: Callable[[], T], what: str) -> T:
        """Return the answer of ``request``; raise PublishError naming ``what`` when it cannot be had."""
        attempt = 0
        while True:
            if self.stop.is_set():
                raise StoppedError
            try:
                return request()
            except AwsError as error:
                attempt += 1
                waiting = is_missing(error) and time.monotonic() < self.settling
                if not (waiting or self._worth(error, attempt)):
                    told = f"{what}: {explain(error)} (attempt {attempt})"
                    raise PublishError(told, hint=hint_for(error)) from error
                self._spend(what, error)
            limit = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempt, 10))
            self.stop.wait(self.pace * random.uniform(limit / 10, limit))  # noqa: S311 - jitter, not a secret

    def _worth(self, error: Exception, attempt: int) -> bool:
        """Say whether the same request may succeed at the next try."""
        if attempt >= ATTEMPTS:
            return False
        return is_transient(error)

    def _spend(self, what: str, error: Exception) -> None:
        with self._lock:
            self.budget -= 1
            if self.budget < 0:
                raise PublishError(
                    f"{what}: {explain(error)}; too many requests failed in this transfer"
                ) from error
