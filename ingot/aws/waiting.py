"""Waiting for a condition, with growing pauses and a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    limit: float,
    longest: float = LONGEST_PAUSE,
    tick: Callable[[float], None] | None = None,
) -> float:
    """Ask ``condition`` until it holds, at most ``limit`` seconds; return how many seconds that took.

    The pauses grow from 0.2 s to ``longest``. ``tick`` is called with the seconds waited before each pause. Raises TimeoutError.
    """
    start = time.monotonic()
    pause = FIRST_PAUSE
    while not condition():
        waited = time.monotonic() - start
        if waited >= limit:
            raise TimeoutError(f"waited {waited:.0f} s for {what}")
        if tick is not None:
            tick(waited)
        time.sleep(min(pause, limit - waited))
        pause = min(longest, pause * 1.5)
    return time.monotonic() - start
