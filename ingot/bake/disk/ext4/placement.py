"""Where every node's blocks lie: the lower layer first and tightly, the upper layer
behind it and so that changes stay local.

The lower layer's places depend on the lower layer alone. Of the upper layer, directories share an area; small
files are spread over buckets of 512 KiB by a hash of their path, so that a file that grows, comes or goes
moves only its bucket's others; large files follow, each with a whole number of 512 KiB to grow in.
"""

from __future__ import annotations

import zlib
from typing import List, Sequence, Tuple

from ingot.bake.disk.ext4 import extents
from ingot.bake.disk.ext4.extents import Extent
from ingot.bake.disk.ext4.geometry import TABLE_ALIGNMENT, Geometry
from ingot.bake.disk.ext4.node import PlannedInode
from ingot.bake.tree.tree import encode

_BUCKET = TABLE_ALIGNMENT  # blocks: 512 KiB, the unit of a snapshot
_SMALL = _BUCKET // 2  # blocks; a larger file goes to no bucket


class NoRoomError(Exception):
    """The file system is too small for its content."""


class Allocator:
    """Hands out blocks in ascending order. ``used`` holds (start, blocks) of all that was handed out."""

    def __init__(self, segments: Sequence[Tuple[int, int]]) -> None:
        self._segments = list(reversed(segments))
        self._at, self._end = self._segments.pop() if segments else (0, 0)
        self.used: List[Tuple[int, int]] = []

    def _advance(self) -> None:
        if not self._segments:
            raise NoRoomError
        self._at, self._end = self._segments.pop()

    def take(self, count: int) -> List[Tuple[int, int]]:
        """Return ``count`` blocks as (start, blocks), in several pieces where metadata is in between."""
        pieces = []
        while count:
            if self._at == self._end:
                self._advance()
            length = min(count, self._end - self._at)
            pieces.append((self._at, length))
            self._at += length
            count -= length
        self.used += pieces
        return pieces

    def align(self) -> None:
        """Go on at the next whole 512 KiB."""
        self._at = min(self._end, -(-self._at // _BUCKET) * _BUCKET)

    def take_bucket(self) -> "Allocator":
        """Return an allocator of its own for the next whole 512 KiB in one piece."""
        self.align()
        while self._end - self._at < _BUCKET:
            self._advance()
            self.align()
        bucket = Allocator([(self._at, self._at + _BUCKET)])
        self._at += _BUCKET
        return bucket

    @property
    def room(self) -> int:
        """How many blocks are left in the current piece."""
        return self._end - self._at

    @property
    def at(self) -> int:
        """The next block."""
        return self._at


def resume(segments: Sequence[Tuple[int, int]], at: int) -> Allocator:
    """Return an allocator that goes on at block ``at``."""
    return Allocator([(max(start, at), end) for start, end in segments if end > at])


def place_lower(
    nodes: Sequence[PlannedInode], geometry: Geometry, reserved: Sequence[int]
) -> Tuple[List[List[Tuple[int, int]]], Allocator]:
    """Place the nodes of the lower layer.

    ``reserved``: sizes in blocks of what goes before them (the journal, …).

    Returns the places of ``reserved`` and the allocator, which knows what is used. Raises NoRoomError.
    """
    room = Allocator(geometry.free_segments())
    places = [room.take(count) for count in reserved]
    room.align()
    for node in sorted(nodes, key=lambda node: not node.is_directory):
        _assign(node, room)
    return places, room


def place_upper(nodes: Sequence[PlannedInode], geometry: Geometry, at: int) -> Allocator:
    """Place the nodes of the upper layer, block ``at`` or behind it. Raises NoRoomError."""
    try:
        return _place_upper(nodes, resume(geometry.free_segments(), at), spread=True)
    except NoRoomError:
        # A full disk: better one that changes in more blocks than none.
        return _place_upper(nodes, resume(geometry.free_segments(), at), spread=False)


def _place_upper(nodes: Sequence[PlannedInode], room: Allocator, *, spread: bool) -> Allocator:
    if spread:
        room.align()
    files = [node for node in nodes if not node.is_directory]
    for node in nodes:
        if node.is_directory:
            _assign(node, room)
    if spread:
        _spread(files, room)
    else:
        for node in files:
            _assign(node, room)
    return room


def _spread(files: Sequence[PlannedInode], room: Allocator) -> None:
    small = [node for node in files if _estimate(node) <= _SMALL]
    large = [node for node in files if _estimate(node) > _SMALL]
    # Half full on average: the number of buckets is a power of two, which changes seldom.
    count = 1
    while count * _SMALL < sum(_estimate(node) for node in small):
        count *= 2
    buckets = [room.take_bucket() for _ in range(count)] if small else []
    overflow = []
    for node in small:
        bucket = buckets[zlib.crc32(encode(node.entry.path)) % count]
        if _estimate(node) <= bucket.room:
            _assign(node, bucket)
        else:
            overflow.append(node)
    for bucket in buckets:
        room.used += bucket.used
    for node in [*overflow, *large]:
        if _estimate(node) > _SMALL:
            room.align()
        _assign(node, room)


def _estimate(node: PlannedInode) -> int:
    """Return how many blocks a node takes when its runs are not torn."""
    return node.data_blocks + extents.leaves_needed(len(node.runs)) + bool(node.xattr_content)


def _assign(node: PlannedInode, room: Allocator) -> None:
    if node.runs:
        node.extents = extents.split(_map(node.runs, room.take(node.data_blocks)))
        node.leaves = [
            start for _ in range(extents.leaves_needed(len(node.extents))) for start, _ in room.take(1)
        ]
    if node.xattr_content:
        node.xattr_block = room.take(1)[0][0]


def _map(runs: Sequence[Tuple[int, int]], places: Sequence[Tuple[int, int]]) -> List[Extent]:
    """Lay logical runs over physical places; both have the same number of blocks in all."""
    if len(runs) == 1 and len(places) == 1:
        return [Extent(runs[0][0], places[0][0], runs[0][1])]
    found = []
    remaining = list(reversed(places))
    for logical, count in runs:
        while count:
            start, length = remaining.pop()
            part = min(length, count)
            found.append(Extent(logical, start, part))
            if part < length:
                remaining.append((start + part, length - part))
            logical += part
            count -= part
    return found
