"""A published snapshot as a raw disk on this machine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.aws.publish.blocks import GIB
from ingot.aws.session.clients import BLOCK_STREAMS
from ingot.aws.session.retry import Retries
from ingot.aws.verify.readback import pages, read_block
from ingot.blocks import BLOCK_SIZE
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_ebs.type_defs import BlockTypeDef

    from ingot.aws.session.clients import Clients


def download_disk(
    clients: Clients, snapshot_id: str, target: Path, progress: Progress, *, pace: float = 1.0
) -> None:
    """Write the snapshot's blocks into the sparse file ``target``, as large as the volume (whole GiB).

    Raises PublishError when a block cannot be read.
    """
    shots = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    if not shots:
        raise PublishError(f"there is no snapshot {snapshot_id} in {clients.region}")
    size = int(shots[0]["VolumeSize"]) * GIB
    retries = Retries(budget=100 + size // BLOCK_SIZE, pace=pace)
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
                progress(f"{count} blocks fetched ({count * BLOCK_SIZE // 2**20} MiB)")
    finally:
        os.close(file)
