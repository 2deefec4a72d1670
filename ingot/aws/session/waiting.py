"""Waiting for a condition, with growing pauses and a limit. What AWS or the network could not answer for now is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ingot.aws.session.failures import AwsError, explain, is_transient

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0

T = TypeVar("T")


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    limit: float,
    longest: float = LONGEST_PAUSE,
    tick: Callable[[float], None] | None = None,
) -> float:
    """Ask ``condition`` until it holds, at most ``limit`` seconds; return how many seconds that took.

    The pauses grow from 0.2 s to ``longest``. ``tick`` is called with the seconds waited before each pause. A condition that AWS throttled, or
    that the network broke, is asked again: what is waited for goes on. Raises TimeoutError, and all other errors of ``condition``.
    """
    start = time.monotonic()
    pause = FIRST_PAUSE
    while True:
        failure: Exception | None = None
        try:
            if condition():
                return time.monotonic() - start
        except AwsError as error:
            if not is_transient(error):
                raise
            failure = error
        waited = time.monotonic() - start
        if waited >= limit:
            last = "" if failure is None else f"; the last try: {explain(failure)}"
            raise TimeoutError(f"waited {waited:.0f} s for {what}{last}") from failure
        if tick is not None:
            tick(waited)
        time.sleep(min(pause, limit - waited))
        pause = min(longest, pause * 1.5)


def patiently(request: Callable[[], T], until: float) -> T:
    """Return the answer of ``request``; one that AWS throttled, or that the network broke, is asked again ``until`` (s, monotonic).

    Raises the error of the last try.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return request()
        except AwsError as error:
            left = until - time.monotonic()
            if not is_transient(error) or left <= 0:
                raise
            time.sleep(min(pause, left))
            pause = min(LONGEST_PAUSE, pause * 1.5)
