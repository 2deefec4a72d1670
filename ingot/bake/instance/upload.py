"""The upload of blocks into a pending snapshot, whoever does it: a builder instance or the machine that
publishes.

Which requests carry the blocks is the caller's: boto3's on the machine that publishes, hand-signed ones on a
builder, which has the standard library alone.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

from ingot.blocks import BLOCK_SIZE
from ingot.progress import Progress
from ingot.retry import Retries, StoppedError

# Seconds between two lines of progress.
REPORT_EVERY = 2.0


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
                    self.progress(self._share())
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
                self.retries.call(lambda: self.put(index, data, digest), f"write block {index}")  # noqa: B023
                self._digests[index] = digest
        except StoppedError:
            return  # the thread that failed says why
        except BaseException:
            self.retries.stop.set()
            raise

    def _share(self) -> str:
        sent, total = len(self._digests), len(self.indexes)
        if total == 0:
            return "no block differs from the parent's"
        mib = (sent * BLOCK_SIZE // 2**20, total * BLOCK_SIZE // 2**20)
        return f"{sent} of {total} blocks sent ({mib[0]} of {mib[1]} MiB)"
