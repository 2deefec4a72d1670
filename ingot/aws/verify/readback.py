"""Reading a published snapshot back, block by block: the bit-for-bit proof."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ingot.aws.publish.blocks import BlockMap, disk_size
from ingot.aws.session.clients import BLOCK_STREAMS
from ingot.aws.session.retry import Retries
from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST, block_count, linear_digest
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_ebs.type_defs import BlockTypeDef

    from ingot.aws.session.clients import Clients

# ListSnapshotBlocks: 100 to 10,000. A page is read before the next is asked for, so that its tokens are fresh.
PAGE = 1000


@dataclass(frozen=True)
class ReadBack:
    """What was read: the root digest found, how many blocks, and those that differ from the manifest, in order."""

    snapshot_id: str
    root_digest: str
    blocks_read: int
    differing: tuple[int, ...]

    def equals(self, blocks: BlockMap) -> bool:
        """Say whether the snapshot is, bit for bit, the disk of the manifest."""
        return not self.differing and self.root_digest == blocks.root_digest


def read_back(
    clients: Clients,
    snapshot_id: str,
    blocks: BlockMap,
    *,
    encrypted: bool,
    progress: Progress,
    pace: float = 1.0,
) -> ReadBack:
    """Read every block that the snapshot has and compare it with the manifest.

    A block that it lacks is zeros, except in an encrypted snapshot, where it would read as random data on a volume. Raises
    PublishError when a block cannot be read.
    """
    retries = Retries(budget=100 + len(blocks.digests), pace=pace)
    found = _read_all(clients, snapshot_id, retries, progress)
    absent = "" if encrypted else ZERO_DIGEST
    count = len(blocks.digests)
    differing = [index for index in range(count) if found.get(index, absent) != blocks.digest(index)]
    return _read(snapshot_id, found, count, differing)


def read_root(
    clients: Clients, snapshot_id: str, *, encrypted: bool, progress: Progress, pace: float = 1.0
) -> ReadBack:
    """Read every block that the snapshot has, for its root digest alone: where the manifest is not at hand.

    How large the disk is its partition table says. ``differing`` holds what would be no zeros on a volume and should be.
    Raises PublishError when a block cannot be read, or there is no partition table.
    """
    size = _size(clients, snapshot_id, Retries(budget=100, pace=pace))
    count = block_count(size)
    found = _read_all(clients, snapshot_id, Retries(budget=100 + count, pace=pace), progress)
    # What an encrypted snapshot lacks reads as random data on a volume.
    absent = [index for index in range(count) if index not in found] if encrypted else []
    return _read(snapshot_id, found, count, absent)


def _read(snapshot_id: str, found: Mapping[int, str], count: int, differing: list[int]) -> ReadBack:
    # Beyond the disk's end, up to the volume's last GiB, there must be nothing either.
    beyond = sorted(index for index, digest in found.items() if index >= count and digest != ZERO_DIGEST)
    root = linear_digest(found.get(index, ZERO_DIGEST) for index in range(count)).hex()
    return ReadBack(snapshot_id, root, len(found), (*differing, *beyond))


def _read_all(clients: Clients, snapshot_id: str, retries: Retries, progress: Progress) -> dict[int, str]:
    """Return the digest of each block that the snapshot has."""
    found: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=BLOCK_STREAMS, thread_name_prefix="blocks") as pool:
        for page in pages(clients, snapshot_id, retries):
            digests = pool.map(lambda block: _digest(clients, snapshot_id, block, retries), page)
            found.update(zip((block["BlockIndex"] for block in page), digests, strict=True))
            progress(f"{len(found)} blocks read ({len(found) * BLOCK_SIZE // 2**20} MiB)")
    return found


def _size(clients: Clients, snapshot_id: str, retries: Retries) -> int:
    """Return the size of the snapshot's disk in bytes, as its partition table tells."""
    first = next(pages(clients, snapshot_id, retries), [])
    head = (
        read_block(clients, snapshot_id, first[0], retries) if first and not first[0]["BlockIndex"] else b""
    )
    size = disk_size(head)
    if size is None:
        raise PublishError(f"{snapshot_id} has no partition table: not a disk of Ingot")
    return size


def pages(clients: Clients, snapshot_id: str, retries: Retries) -> Iterator[list[BlockTypeDef]]:
    """Give the snapshot's blocks page by page. Each page starts by its first index, not by a token that may expire."""
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
                f"{snapshot_id} has blocks of {answer['BlockSize']} bytes; expected {BLOCK_SIZE}"
            )
        page = answer["Blocks"]
        if page:
            yield page
        start = page[-1]["BlockIndex"] + 1 if page and answer.get("NextToken") else None


def _digest(clients: Clients, snapshot_id: str, block: BlockTypeDef, retries: Retries) -> str:
    """Return the SHA-256 (hex) of a block as it was read."""
    return hashlib.sha256(read_block(clients, snapshot_id, block, retries)).hexdigest()


def read_block(clients: Clients, snapshot_id: str, block: BlockTypeDef, retries: Retries) -> bytes:
    """Return a block as it was read.

    EBS sends a checksum along: data that does not have it is read once more, since the transfer may have damaged it; what comes
    then is what EBS holds.
    """
    index, token = block["BlockIndex"], block["BlockToken"]

    def get() -> tuple[bytes, str]:
        answer = clients.ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=token)
        return answer["BlockData"].read(), answer["Checksum"]

    what = f"read block {index} of {snapshot_id}"
    data, checksum = retries.call(get, what)
    if base64.b64encode(hashlib.sha256(data).digest()).decode() != checksum:
        data, checksum = retries.call(get, what)
    return data
