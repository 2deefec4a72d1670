"""Waiting for a condition, with growing pauses and a limit.

What AWS or the network cannot answer now is asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ingot.aws.session.failures import AwsError, explain, is_transient
from ingot.retry import POLLING, now, pause

T = TypeVar("T")


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    limit: float,
    longest: float = POLLING.longest,
    tick: Callable[[float], None] | None = None,
) -> float:
    """Ask ``condition`` until it holds, at most ``limit`` seconds; return how many seconds that took.

    The pauses grow to ``longest`` seconds. ``tick`` is called with the seconds waited before each pause. A
    condition that AWS throttles, or that the network breaks, is asked again: what is waited for goes on.
    Raises TimeoutError, and all other errors of ``condition``.
    """
    start = now()
    looks = 0
    while True:
        failure: Exception | None = None
        try:
            if condition():
                return now() - start
        except AwsError as error:
            if not is_transient(error):
                raise
            failure = error
        waited = now() - start
        if waited >= limit:
            last = "" if failure is None else f"; the last try: {explain(failure)}"
            raise TimeoutError(f"waited {waited:.0f} s for {what}{last}") from failure
        if tick is not None:
            tick(waited)
        looks += 1
        pause(min(longest, POLLING.limit(looks), limit - waited))


def patiently(request: Callable[[], T], until: float) -> T:
    """Return the answer of ``request``; repeat it ``until`` (s, monotonic) while AWS throttles it or the
    network fails.

    Raises the error of the last try.
    """
    failures = 0
    while True:
        try:
            return request()
        except AwsError as error:
            left = until - now()
            if not is_transient(error) or left <= 0:
                raise
            failures += 1
            pause(min(POLLING.limit(failures), left))
