"""The blocks of an EBS snapshot and their digests: the unit in which disks are baked, sent and compared."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import Iterable, List, Optional, Sequence, Tuple, Union

# Bytes. EBS direct has no other: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html
BLOCK_SIZE = 512 * 1024
ZERO_BLOCK = bytes(BLOCK_SIZE)
READERS = 4  # threads that read a disk
ZERO_DIGEST = hashlib.sha256(ZERO_BLOCK).hexdigest()

Digests = Sequence[
    Optional[str]
]  # the SHA-256 (hex) of each block of a disk in order, None for a block of zeros


def block_count(size: int) -> int:
    """Return how many blocks a disk of ``size`` bytes has; the last one may be partly used."""
    return -(-size // BLOCK_SIZE)


def read_block(descriptor: int, index: int) -> bytes:
    """Return a block of the open disk, padded with zeros where the disk ends; the place in it stays."""
    return os.pread(descriptor, BLOCK_SIZE, index * BLOCK_SIZE).ljust(BLOCK_SIZE, b"\0")


def block_digest(block: Union[bytes, bytearray]) -> Optional[str]:
    """Return the SHA-256 (hex) of a block, None for a block of zeros.

    Most of a disk is zeros, and to see that costs a fraction of a digest.
    """
    return None if block == ZERO_BLOCK else hashlib.sha256(block).hexdigest()


def linear_digest(digests: Iterable[str]) -> bytes:
    """Return the SHA-256 over raw digests in the order given: EBS's LINEAR checksum aggregation."""
    aggregate = hashlib.sha256()
    for digest in digests:
        aggregate.update(bytes.fromhex(digest))
    return aggregate.digest()


def root_digest(digests: Digests) -> str:
    """Return the digest of a disk: the SHA-256 (hex) over the raw digests of all its blocks in order."""
    return linear_digest(digest or ZERO_DIGEST for digest in digests).hex()


def as_checksum(sha256: str) -> str:
    """Return a SHA-256 (hex) as AWS takes and gives checksums: in Base64."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def written(digests: Digests) -> List[int]:
    """Return the indexes of the blocks that are not all zeros."""
    return [index for index, digest in enumerate(digests) if digest is not None]


def changed(digests: Digests, before: Digests) -> List[int]:
    """Return the indexes of the blocks that differ from ``before``, newly zeroed ones included.

    Blocks beyond the end of ``before`` count as zeros there: the volume has the same size and they were never
    written.
    """
    old = [*before, *[None] * max(0, len(digests) - len(before))]
    differing = [index for index, digest in enumerate(digests) if digest != old[index]]
    return differing + [index for index in range(len(digests), len(before)) if before[index] is not None]


def to_send(digests: Digests, parent: Optional[Digests], *, encrypted: bool) -> List[int]:
    """Return the indexes of the blocks that a snapshot must be given.

    A block that a child snapshot omits is its parent's.
    A block that an encrypted snapshot without a parent omits reads back as random data.
    """
    if parent is not None:
        return changed(digests, parent)
    return list(range(len(digests))) if encrypted else written(digests)


@dataclass(frozen=True)
class DiskDigest:
    """The digests of a finished disk: SHA-256 in hex per 512 KiB block, None for a block of zeros.

    ``used`` counts the bytes of the blocks that are not zero.
    """

    size: int
    used: int
    blocks: Tuple[Optional[str], ...]
    root_digest: str


def digest_disk(descriptor: int, readers: int = READERS) -> DiskDigest:
    """Return the digests of an open disk, a file or a device, read by so many threads."""
    from concurrent.futures import ThreadPoolExecutor  # not for all who know what a block is

    size = os.lseek(descriptor, 0, os.SEEK_END)
    with ThreadPoolExecutor(readers) as pool:
        blocks = tuple(
            pool.map(lambda index: block_digest(read_block(descriptor, index)), range(block_count(size)))
        )
    return DiskDigest(size, len(written(blocks)) * BLOCK_SIZE, blocks, root_digest(blocks))
