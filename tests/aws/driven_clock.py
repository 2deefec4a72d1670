"""A clock that jumps to the end of each pause, so that hours of waiting pass in an instant."""

from __future__ import annotations

import threading
import time

from ingot.retry import Clock

# Seconds, of the real time, that a pause takes: what other threads do meanwhile needs some.
INSTANT = 0.05


class DrivenClock(Clock):
    """``waited``: how many seconds the pauses would have taken. Pauses of several threads overlap."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.monotonic() + self.waited

    def wall(self) -> float:
        return time.time() + self.waited

    def pause(self, seconds: float, stop: threading.Event | None = None) -> None:
        with self._lock:
            end = self.waited + seconds
        (stop or threading.Event()).wait(min(seconds, INSTANT))
        with self._lock:
            self.waited = max(self.waited, end)


class StoppedClock(DrivenClock):
    """One that goes forward in pauses alone, however long the rest takes: for a single thread."""

    def now(self) -> float:
        return self.waited

    def wall(self) -> float:
        return self.waited

    def pause(self, seconds: float, stop: threading.Event | None = None) -> None:
        self.waited += seconds
