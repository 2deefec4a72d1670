"""EBS direct as a builder calls it: PutSnapshotBlock by hand-signed requests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Optional, Sequence, Tuple

from ingot.bake.instance.bootstrap import AwsService, RefusedError, UnreachableError
from ingot.bake.instance.upload import Upload
from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST, Digests, as_checksum, read_block
from ingot.progress import Progress
from ingot.retry import BLOCKS, Budget, Failure, Retries, now

STREAMS = 16  # at 20 ms a block this is 800 blocks a second: below the quota of 1,000 for an account


@dataclass(frozen=True)
class PendingSnapshot:
    """A snapshot that takes blocks."""

    ebs: AwsService
    snapshot_id: str

    def fill(self, disk: Path, digests: Digests, indexes: Sequence[int], progress: Progress) -> int:
        """Write the blocks ``indexes`` of a disk, whose blocks have these digests; return how many."""
        file = os.open(disk, os.O_RDONLY)

        def read(index: int) -> Tuple[bytes, str]:
            # The digest is from when the block was baked: EBS refuses data that has another one.
            digest = digests[index] if index < len(digests) else None
            return read_block(file, index), digest or ZERO_DIGEST

        retries = Retries(
            BLOCKS,
            partial(diagnose, now()),
            lambda _what, error, _attempt: error,
            Budget(100 + 2 * len(digests)),
        )
        try:
            return len(Upload(indexes, read, self.put, retries, STREAMS, progress).run())
        finally:
            os.close(file)

    def put(self, index: int, data: bytes, digest: str) -> None:
        """Write one block, whose SHA-256 is given in hex."""
        headers = {
            "x-amz-data-length": str(BLOCK_SIZE),
            "x-amz-checksum": as_checksum(digest),
            "x-amz-checksum-algorithm": "SHA256",
            "content-type": "application/octet-stream",
        }
        self.ebs.call(
            "PUT", f"/snapshots/{self.snapshot_id}/blocks/{index}", headers, data, digest=digest, attempts=1
        )


def diagnose(known: float, error: Exception, began: float) -> Optional[Failure]:
    """Return an error of a request as the table of `ingot.retry` judges it; None for one of something else.

    The snapshot has been known to this machine since ``known``, and the request began at ``began``.
    """
    if isinstance(error, UnreachableError):
        return Failure(text=str(error), broken=True)
    if not isinstance(error, RefusedError):
        return None
    code = error.text.partition(" ")[0]
    return Failure(code, error.status, error.text, age=began - known, blocks=True)
