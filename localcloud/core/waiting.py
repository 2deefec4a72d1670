"""Waiting for what machines and processes do, which takes its time whatever clock a test drives."""

from __future__ import annotations

from collections.abc import Callable

from ingot.retry import Backoff, Clock, until


def wait_until(condition: Callable[[], bool], *, limit: float, pause: float) -> bool:
    """Look each ``pause`` seconds until ``condition`` holds, at most ``limit``; return whether it does.

    The clock is the real one: AWS's clients may be tested in the same process, with a clock that jumps.
    """
    return until(condition, limit=limit, backoff=Backoff(pause, pause), clock=Clock())
