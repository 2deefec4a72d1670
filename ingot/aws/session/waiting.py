"""Waiting for a condition of AWS, with growing pauses and a limit.

What AWS or the network cannot answer now is asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ingot.aws.session.failures import AwsError, explain, is_transient
from ingot.retry import POLLING, now, until


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
    failure: Exception | None = None

    def holds() -> bool:
        nonlocal failure
        failure = None
        try:
            return condition()
        except AwsError as error:
            if not is_transient(error):
                raise
            failure = error
            return False

    if not until(holds, limit=limit, backoff=replace(POLLING, longest=longest), tick=tick):
        last = "" if failure is None else f"; the last try: {explain(failure)}"
        raise TimeoutError(f"waited {now() - start:.0f} s for {what}{last}") from failure
    return now() - start
