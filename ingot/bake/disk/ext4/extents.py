"""Extents: the runs of blocks that hold a file, and the tree in the inode that lists them."""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Sequence, Tuple

from ingot.bake.disk.ext4.geometry import BLOCK
from ingot.errors import BakeError

_MAGIC = 0xF30A
_LONGEST = 32768  # blocks in one extent
_IN_INODE = 4
PER_LEAF = (BLOCK - 12) // 12
MOST_EXTENTS = _IN_INODE * PER_LEAF  # what a tree of depth 1 can hold


class Extent(NamedTuple):
    """``length`` blocks from ``logical`` of the file on lie at ``physical`` of the file system."""

    logical: int
    physical: int
    length: int


def split(extents: Sequence[Extent]) -> List[Extent]:
    """Return ``extents`` cut into pieces that are no longer than the format allows."""
    pieces = []
    for logical, physical, length in extents:
        for at in range(0, length, _LONGEST):
            pieces.append(Extent(logical + at, physical + at, min(_LONGEST, length - at)))
    return pieces


def leaves_needed(count: int) -> int:
    """Return how many blocks the tree of ``count`` extents takes beside the inode; raise
    BakeError when there are too many.
    """
    if count <= _IN_INODE:
        return 0
    if count > MOST_EXTENTS:
        raise BakeError(f"a file would be in {count} pieces; the most is {MOST_EXTENTS}")
    return -(-count // PER_LEAF)


def _header(count: int, most: int, depth: int) -> bytes:
    return struct.pack("<HHHHI", _MAGIC, count, most, depth, 0)


def _pack(extents: Sequence[Extent]) -> bytes:
    return b"".join(
        struct.pack("<IHHI", e.logical, e.length, e.physical >> 32, e.physical & 0xFFFFFFFF) for e in extents
    )


def build(extents: Sequence[Extent], leaves: Sequence[int]) -> Tuple[bytes, List[Tuple[int, bytes]]]:
    """Return the 60 bytes of the inode and (block number, content) of each leaf;
    ``leaves`` are the blocks reserved for them.
    """
    if not leaves:
        return (_header(len(extents), _IN_INODE, 0) + _pack(extents)).ljust(60, b"\0"), []
    root = _header(len(leaves), _IN_INODE, 1)
    blocks = []
    for number, block in enumerate(leaves):
        part = extents[number * PER_LEAF : (number + 1) * PER_LEAF]
        root += struct.pack("<IIHH", part[0].logical, block & 0xFFFFFFFF, block >> 32, 0)
        blocks.append((block, (_header(len(part), PER_LEAF, 0) + _pack(part)).ljust(BLOCK, b"\0")))
    return root.ljust(60, b"\0"), blocks


def parse(node: bytes) -> Tuple[int, List[Extent]]:
    """Return depth and entries of a node; at depth > 0 ``physical`` is the child's block and ``length`` 0."""
    magic, count, _, depth, _ = struct.unpack_from("<HHHHI", node)
    if magic != _MAGIC:
        raise BakeError("the file system has a damaged extent tree")
    found = []
    for number in range(count):
        if depth:
            logical, low, high = struct.unpack_from("<IIH", node, 12 + 12 * number)
            found.append(Extent(logical, high << 32 | low, 0))
        else:
            logical, length, high, low = struct.unpack_from("<IHHI", node, 12 + 12 * number)
            found.append(Extent(logical, high << 32 | low, length))
    return depth, found
