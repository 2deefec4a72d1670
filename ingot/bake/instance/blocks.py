"""Which blocks of a disk must be written into a snapshot. Both sides use this: the builder to send, the other to check."""

from __future__ import annotations

from typing import List, Optional, Sequence

Digests = Sequence[Optional[str]]  # the SHA-256 (hex) of each block of 512 KiB, None for one of zeros

BLOCK_SIZE = 524288  # https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html


def written(digests: Digests) -> List[int]:
    """Return the indexes of the blocks that are not all zeros."""
    return [index for index, digest in enumerate(digests) if digest is not None]


def changed(digests: Digests, before: Digests) -> List[int]:
    """Return the indexes of the blocks that differ from ``before``, newly zeroed ones included.

    What ``before`` does not have counts as zeros: the volume's size is the same, so it was never written.
    """
    old = [*before, *[None] * max(0, len(digests) - len(before))]
    found = [index for index, digest in enumerate(digests) if digest != old[index]]
    return found + [index for index in range(len(digests), len(before)) if before[index] is not None]


def to_send(digests: Digests, parent: Optional[Digests], *, encrypted: bool) -> List[int]:
    """Return the indexes of the blocks that a snapshot must be given.

    A block that a child omits is its parent's. One that an encrypted snapshot without a parent omits reads back as random data.
    """
    if parent is not None:
        return changed(digests, parent)
    return list(range(len(digests))) if encrypted else written(digests)
