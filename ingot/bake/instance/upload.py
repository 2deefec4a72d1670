"""Writes blocks of a disk into a pending snapshot by EBS direct's PutSnapshotBlock."""

from __future__ import annotations

import base64
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Optional, Sequence

from ingot.bake.instance.bootstrap import RefusedError, Service
from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST, Digests
from ingot.progress import Progress

STREAMS = 16  # at 20 ms a block this is 800 blocks a second: below the quota of 1,000 for an account
SETTLING = 120.0  # seconds; EBS direct may not know a new snapshot for a while: 56 s was seen
PAUSE = 2.0
REPORT_EVERY = 5.0


class Upload:
    """The upload of some blocks by a few threads, each with a connection of its own."""

    def __init__(
        self,
        ebs: Service,
        snapshot_id: str,
        disk: Path,
        digests: Digests,
        indexes: Sequence[int],
        progress: Progress,
    ) -> None:
        self._ebs = ebs
        self._snapshot_id = snapshot_id
        self._path = disk
        self._digests = digests
        self._indexes = list(indexes)
        self._progress = progress
        self._next = iter(self._indexes)
        self._lock = threading.Lock()
        self._sent = 0
        self._reported = time.monotonic()
        self._settled_by = time.monotonic() + SETTLING
        self._failure: Optional[BaseException] = None

    def run(self) -> int:
        """Send all; return how many. The first failure ends all threads and is raised."""
        disk = os.open(self._path, os.O_RDONLY)
        try:
            with ThreadPoolExecutor(STREAMS) as pool:
                for future in [pool.submit(self._work, disk) for _ in range(STREAMS)]:
                    future.result()
        finally:
            os.close(disk)
        if self._failure is not None:
            raise self._failure
        return self._sent

    def _work(self, disk: int) -> None:
        try:
            while self._failure is None:
                with self._lock:
                    index = next(self._next, None)
                if index is None:
                    return
                self._put(disk, index)
                self._count()
        except Exception as error:  # noqa: BLE001 - it is raised by `run`
            self._failure = self._failure or error

    def _put(self, disk: int, index: int) -> None:
        known = self._digests[index] if index < len(self._digests) else None
        digest = known or ZERO_DIGEST
        data = os.pread(disk, BLOCK_SIZE, index * BLOCK_SIZE).ljust(BLOCK_SIZE, b"\0")
        # Its digest is from when it was written; EBS refuses data that has another one.
        headers = {
            "x-amz-data-length": str(BLOCK_SIZE),
            "x-amz-checksum": base64.b64encode(bytes.fromhex(digest)).decode(),
            "x-amz-checksum-algorithm": "SHA256",
            "content-type": "application/octet-stream",
        }
        path = f"/snapshots/{self._snapshot_id}/blocks/{index}"
        while True:
            try:
                self._ebs.call("PUT", path, headers, data, digest)
            except RefusedError as error:
                if error.status != 404 or time.monotonic() > self._settled_by:
                    raise
                time.sleep(PAUSE)
            else:
                return

    def _count(self) -> None:
        with self._lock:
            self._sent += 1
            now = time.monotonic()
            due = now - self._reported >= REPORT_EVERY or self._sent == len(self._indexes)
            if due:
                self._reported = now
        if due:
            self._progress(_share(self._sent, self._indexes))


def _share(sent: int, indexes: List[int]) -> str:
    return f"{sent} of {len(indexes)} blocks sent ({sent * BLOCK_SIZE // 2**20} of {len(indexes) * BLOCK_SIZE // 2**20} MiB)"
