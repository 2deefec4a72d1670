"""The consoles of many clones, read side by side and no faster than EC2 allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ingot.aws.instances import console
from ingot.aws.session.failures import is_missing

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

# Amazon EC2 developer guide, "Request throttling": each non-mutating action has a bucket of 100 requests in
# an account and region, and 20 more a second. Half of both is left to others.
RATE, BURST = 10.0, 50
# An answer of 64 KiB takes a few tenths of a second; so many at a time keep up with the rate. A client keeps
# ten connections.
READERS = 8
# Seconds to wait for the inventories of a fleet: time for a timer that has just elapsed on the clones. For
# reading all consoles twice there is more.
LEAST_LIMIT = 300.0


class Pace:
    """Lets through ``burst`` callers at once, and ``rate`` a second then."""

    def __init__(
        self,
        rate: float = RATE,
        burst: int = BURST,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval, self._burst, self._clock, self._sleep = 1 / rate, burst, clock, sleep
        self._lock = threading.Lock()
        self._next = clock() - burst / rate

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            now = self._clock()
            # Of the time in which nobody called no more counts than fills the bucket.
            turn = self._next = max(self._next, now - self._burst * self._interval) + self._interval
        if turn > now:
            self._sleep(turn - now)


def limit_for(clones: int) -> float:
    """Return how many seconds to wait for the inventories of so many clones."""
    return LEAST_LIMIT + 2 * clones / RATE


def read_consoles(clients: Clients, instance_ids: Collection[str], pace: Pace) -> dict[str, str]:
    """Return the newest console output of each instance; "" for one that is gone, or has said nothing."""

    def read(instance_id: str) -> tuple[str, str]:
        pace.wait()
        try:
            return instance_id, console.read_console(clients, instance_id)
        except ClientError as error:
            if is_missing(error):  # replaced while we looked: it is reported as silent
                return instance_id, ""
            raise

    with ThreadPoolExecutor(READERS, thread_name_prefix="consoles") as pool:
        return dict(pool.map(read, instance_ids))
