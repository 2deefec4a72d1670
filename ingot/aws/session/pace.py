"""How fast an operation is called: as fast as AWS allows, with room for the account's other callers."""

from __future__ import annotations

import threading

from ingot import retry

# Amazon EC2 developer guide, "Request throttling for the Amazon EC2 API": the non-mutating actions,
# GetConsoleOutput among them, have each a bucket of 100 requests in an account and region, refilled by 20 a
# second. All callers of the account share it, and nobody says what is in it.
REFILL, BURST = 20.0, 50
# Requests a second to begin with. Half of the bucket and half of its refill are left to others until some
# seconds went by in which AWS refused nothing: then nobody else needs them.
START = 10.0
# What the rate grows by in a second without a refusal, and how far refusals bring it down. The rule is that
# of TCP (RFC 5681): add while all is well, halve when it is not, so that callers who follow it share alike.
RISE, LOWEST = 1.0, 1.0
# Seconds in which refusals count as one: those of requests that were under way together.
TOGETHER = 1.0


class Pace:
    """Lets through ``burst`` callers at once and then ``rate`` a second, which adapts to AWS's refusals.

    Time is that of :mod:`ingot.retry`. Any thread may call.
    """

    def __init__(
        self, rate: float = START, burst: int = BURST, *, rise: float = RISE, most: float = REFILL
    ) -> None:
        self._rate, self._burst, self._rise, self._most = rate, float(burst), rise, max(rate, most)
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = self._slowed = retry.now()

    @property
    def rate(self) -> float:
        """Requests a second, now."""
        with self._lock:
            return self._rate

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            self._go_on()
            self._tokens -= 1
            seconds = -self._tokens / self._rate
        if seconds > 0:
            retry.pause(seconds)

    def refused(self) -> None:
        """Slow down: AWS refused a request because there were too many."""
        with self._lock:
            self._go_on()
            self._tokens = min(self._tokens, 0.0)  # AWS's bucket is empty, whatever was counted here
            if self._at - self._slowed >= TOGETHER:
                self._rate = max(LOWEST, self._rate / 2)
                self._slowed = self._at

    def _go_on(self) -> None:
        """Fill the bucket for the time that went by; of idle time no more counts than fills it."""
        now = retry.now()
        seconds, self._at = max(0.0, now - self._at), now
        self._tokens = min(self._burst, self._tokens + seconds * self._rate)
        self._rate = min(self._most, self._rate + seconds * self._rise)
