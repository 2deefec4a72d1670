"""The upload of blocks into a pending snapshot, whoever does it: a builder instance or the machine that
publishes.

Which requests carry the blocks is the caller's: boto3's on the machine that publishes, hand-signed ones on a
builder, which has the standard library alone.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

from ingot.blocks import BLOCK_SIZE
from ingot.progress import Progress, advance
from ingot.quantities import size
from ingot.retry import Retries, StoppedError

# Seconds between two lines of progress.
REPORT_EVERY = 2.0


# Blocks that travel at a time to begin with, and when there are more or fewer. Alone, a block takes 2.1 s at
# 2 Mbit/s and 20 ms inside EC2: a quick one asks for one more at a time, so that 32 are reached within 28
# blocks; a slow one, which at worst is about to run into its 20 s, for one less, and a broken one for half.
FIRST_LANES = 4
QUICK = 2.0
SLOW = 9.0


class Lanes:
    """How many blocks travel at a time, at most ``most``: as many as the line carries without time-outs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy = 0
        self._turn = threading.Condition()
        self.open = min(FIRST_LANES, most)

    def take(self, stop: threading.Event) -> None:
        """Wait for a lane; raise StoppedError when ``stop`` is set meanwhile."""
        with self._turn:
            while self._busy >= self.open and not stop.is_set():
                self._turn.wait(0.5)
            if stop.is_set():
                raise StoppedError
            self._busy += 1

    def give(self, seconds: float, *, arrived: bool) -> None:
        """Give a lane back after so many seconds; ``arrived``: the block did."""
        with self._turn:
            self._busy -= 1
            if not arrived:
                self.open = max(1, self.open // 2)
            elif seconds > SLOW:
                self.open = max(1, self.open - 1)
            elif seconds < QUICK:
                self.open = min(self._most, self.open + 1)
            self._turn.notify_all()


@dataclass
class Upload:
    """The upload of the blocks ``indexes`` by ``streams`` threads. Each holds one block at a time: that
    bounds the memory.

    ``read`` returns a block and its SHA-256 in hex; ``put`` (index, data, SHA-256) sends one. Both are called
    by several threads. ``retries``: how ``put`` is repeated.
    """

    indexes: Sequence[int]
    read: Callable[[int], Tuple[bytes, str]]
    put: Callable[[int, bytes, str], object]
    retries: Retries
    streams: int
    progress: Progress
    _digests: Dict[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lanes: Lanes = field(init=False)

    def __post_init__(self) -> None:
        self._lanes = Lanes(self.streams)

    def run(self) -> List[str]:
        """Send all blocks; return their digests in the order of the indexes.

        The first failure ends all threads and is raised.
        """
        remaining = iter(self.indexes)
        streams = min(self.streams, max(1, len(self.indexes)))
        with ThreadPoolExecutor(streams, thread_name_prefix="blocks") as pool:
            try:
                working = {pool.submit(self._work, remaining) for _ in range(streams)}
                while working:
                    done, working = wait(working, timeout=REPORT_EVERY, return_when=FIRST_EXCEPTION)
                    for worker in done:
                        worker.result()
                    self._tell()
            finally:
                self.retries.stop.set()
        self.retries.stop.clear()
        return [self._digests[index] for index in self.indexes]

    def _work(self, remaining: Iterator[int]) -> None:
        """Send block after block until there is none left, or until another thread failed."""
        try:
            while not self.retries.stop.is_set():
                with self._lock:
                    index = next(remaining, None)
                if index is None:
                    return
                data, digest = self.read(index)
                self.retries.call(partial(self._send, index, data, digest), f"write block {index}")
                self._digests[index] = digest
        except StoppedError:
            return  # the thread that failed says why
        except BaseException:
            self.retries.stop.set()
            raise

    def _send(self, index: int, data: bytes, digest: str) -> None:
        self._lanes.take(self.retries.stop)
        # Of the line, not of `ingot.retry`: what it takes here is what it takes.
        began, arrived = time.monotonic(), False
        try:
            self.put(index, data, digest)
            arrived = True
        finally:
            self._lanes.give(time.monotonic() - began, arrived=arrived)

    def _tell(self) -> None:
        sent, total = len(self._digests) * BLOCK_SIZE, len(self.indexes) * BLOCK_SIZE
        if not total or not advance(self.progress, sent, total):
            self.progress(self._share())

    def _share(self) -> str:
        sent, total = len(self._digests), len(self.indexes)
        if total == 0:
            return "no block differs from the parent's"
        return f"{sent} of {total} blocks sent ({size(sent * BLOCK_SIZE)} of {size(total * BLOCK_SIZE)})"
