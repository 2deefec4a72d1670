"""Reading the blocks of a published snapshot, one by one or as a raw disk on this machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ingot import quantities
from ingot.aws.session.clients import BLOCK_STREAMS
from ingot.aws.session.retry import block_retries
from ingot.blocks import BLOCK_SIZE, as_checksum
from ingot.errors import PublishError
from ingot.progress import Progress
from ingot.quantities import GIB
from ingot.retry import Retries

if TYPE_CHECKING:
    from mypy_boto3_ebs.type_defs import BlockTypeDef

    from ingot.aws.session.clients import Clients

# ListSnapshotBlocks: 100 to 10,000. A page is read before the next is asked for, so that its tokens are
# fresh.
PAGE = 1000


def pages(clients: Clients, snapshot_id: str, retries: Retries) -> Iterator[list[BlockTypeDef]]:
    """Give the snapshot's blocks page by page.

    Each page starts by its first index, not by a token that may expire.
    """
    start: int | None = 0
    while start is not None:
        ask = partial(
            clients.ebs.list_snapshot_blocks,
            SnapshotId=snapshot_id,
            MaxResults=PAGE,
            StartingBlockIndex=start,
        )
        answer = retries.call(ask, f"list the blocks of {snapshot_id}")
        if answer.get("BlockSize", BLOCK_SIZE) != BLOCK_SIZE:
            raise PublishError(
                f"{snapshot_id} has blocks of {answer['BlockSize']} bytes; Ingot reads {BLOCK_SIZE}"
            )
        page = answer["Blocks"]
        if page:
            yield page
        start = page[-1]["BlockIndex"] + 1 if page and answer.get("NextToken") else None


def read_block(clients: Clients, snapshot_id: str, block: BlockTypeDef, retries: Retries) -> bytes:
    """Return a block as it was read.

    EBS sends a checksum along. Data that does not have it is read once more, since the transfer may have
    damaged it; what comes then is what EBS holds.
    """
    index, token = block["BlockIndex"], block["BlockToken"]

    def get() -> tuple[bytes, str]:
        answer = clients.ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=token)
        return answer["BlockData"].read(), answer["Checksum"]

    what = f"read block {index} of {snapshot_id}"
    data, checksum = retries.call(get, what)
    if as_checksum(hashlib.sha256(data).hexdigest()) != checksum:
        data, checksum = retries.call(get, what)
    return data


def download_disk(
    clients: Clients, snapshot_id: str, target: Path, progress: Progress, *, pace: float = 1.0
) -> None:
    """Write the snapshot's blocks into the sparse file ``target``, as large as the volume (whole GiB).

    Raises PublishError when a block cannot be read.
    """
    snapshots = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    if not snapshots:
        raise PublishError(f"there is no snapshot {snapshot_id} in {clients.region}")
    size = int(snapshots[0]["VolumeSize"]) * GIB
    retries = block_retries(100 + size // BLOCK_SIZE, pace=pace)
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(file, size)

        def fetch(block: BlockTypeDef) -> None:
            data = read_block(clients, snapshot_id, block, retries)
            if data.strip(b"\0"):  # the file has holes where the disk has zeros
                os.pwrite(file, data, block["BlockIndex"] * BLOCK_SIZE)

        count = 0
        with ThreadPoolExecutor(max_workers=BLOCK_STREAMS, thread_name_prefix="blocks") as pool:
            for page in pages(clients, snapshot_id, retries):
                count += sum(1 for _ in pool.map(fetch, page))
                progress(f"{count} blocks fetched ({quantities.size(count * BLOCK_SIZE)})")
    finally:
        os.close(file)
