"""The consoles of many clones, read side by side and no faster than EC2 allows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ingot.aws.instances import console
from ingot.aws.session.failures import AwsError, explain, is_missing, is_transient
from ingot.aws.session.pace import Pace

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

T = TypeVar("T")
# An answer of 64 KiB takes a few tenths of a second; so many at a time keep up with the rate. A client keeps
# ten connections.
READERS = 8
# Seconds to wait for the inventories of a fleet: time for a timer that has just elapsed on the clones. For
# reading all consoles twice there is more: a fifth of a second each, at half of what EC2 allows.
LEAST_LIMIT, FOR_EACH = 300.0, 0.2


def limit_for(clones: int) -> float:
    """Return how many seconds to wait for the inventories of so many clones."""
    return LEAST_LIMIT + FOR_EACH * clones


def read_consoles(
    clients: Clients, instance_ids: Collection[str], pace: Pace, take: Callable[[str, str, str], T]
) -> dict[str, T]:
    """Return what ``take`` makes of each instance's newest console output.

    ``take`` gets the instance's id, the output and a problem, and is called by several threads: 1,000
    consoles are 64 MiB, of which nothing else is kept. The output is "" for an instance that is gone, or has
    said nothing; the problem says why it could not be read now, and is "" when it could. Raises AWS's errors
    that would meet every instance.
    """

    def read(instance_id: str) -> tuple[str, T]:
        try:
            return instance_id, take(instance_id, console.read_console(clients, instance_id), "")
        except AwsError as error:
            if is_missing(error):  # replaced while we looked: it is reported as silent
                return instance_id, take(instance_id, "", "")
            if is_transient(error):  # it was repeated for minutes; others may be answered
                return instance_id, take(instance_id, "", explain(error))
            raise

    pool = ThreadPoolExecutor(READERS, thread_name_prefix="consoles")
    try:
        with clients.paced("GetConsoleOutput", pace):
            return dict(pool.map(read, instance_ids))
    finally:
        pool.shutdown(cancel_futures=True)
