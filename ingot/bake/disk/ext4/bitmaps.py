"""Which blocks and inodes are used, group by group."""

from __future__ import annotations

from typing import Dict, Iterable, List, Sequence, Set, Tuple

from ingot.bake.disk.ext4.geometry import BLOCK, FIRST_INODE, FLEX_GROUPS, GROUP_BLOCKS, BlockGroup, Geometry
from ingot.bake.disk.ext4.superblock import BLOCK_UNINIT, INODE_UNINIT, INODE_ZEROED, GroupUsage

InodeUsage = Dict[int, Tuple[bytes, int, int]]


def set_range(bitmap: bytearray, start: int, stop: int) -> None:
    """Set the bits from ``start`` up to ``stop``."""
    while start < stop and start & 7:
        bitmap[start >> 3] |= 1 << (start & 7)
        start += 1
    whole = (stop - start) >> 3
    if whole > 0:
        bitmap[start >> 3 : (start >> 3) + whole] = b"\xff" * whole
        start += whole * 8
    while start < stop:
        bitmap[start >> 3] |= 1 << (start & 7)
        start += 1


def join(ranges: Iterable[Tuple[int, int]]) -> List[Tuple[int, int]]:
    """Return (start, blocks) in ascending order, neighbours joined."""
    joined: List[Tuple[int, int]] = []
    for start, count in sorted(ranges):
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + count)
        else:
            joined.append((start, count))
    return joined


def _count(bitmap: bytearray) -> int:
    return bin(int.from_bytes(bitmap, "little")).count("1")


class Bitmaps:
    """The bitmaps of a file system."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._blocks = {group.index: bytearray(BLOCK) for group in geometry.groups}
        self._with_files: Set[int] = set()
        self._inodes: Dict[int, bytearray] = {}
        self._last_inode: Dict[int, int] = {}
        self._directories: List[int] = [0] * geometry.group_count
        for start, blocks in geometry.metadata():
            self._use(start, blocks)
        last = geometry.groups[-1]
        set_range(self._blocks[last.index], last.blocks, GROUP_BLOCKS)
        for reserved in range(FIRST_INODE - 1):
            self.use_inode(0, reserved, is_directory=False)

    @property
    def inodes(self) -> "InodeUsage":
        """What is used of the inodes, by group: the bitmap, the last one that is used,
        how many are directories.
        """
        return {
            group: (bytes(bitmap), self._last_inode[group], self._directories[group])
            for group, bitmap in self._inodes.items()
        }

    @inodes.setter
    def inodes(self, usage: "InodeUsage") -> None:
        for group, (bitmap, last, directories) in usage.items():
            self._inodes[group] = bytearray(bitmap)
            self._last_inode[group] = last
            self._directories[group] = directories

    def _use(self, start: int, count: int) -> None:
        while count:
            group, first = divmod(start, GROUP_BLOCKS)
            part = min(count, GROUP_BLOCKS - first)
            set_range(self._blocks[group], first, first + part)
            start, count = start + part, count - part

    def free_blocks(self, ranges: Sequence[Tuple[int, int]]) -> None:
        """Mark (start, blocks) as free again."""
        for start, count in ranges:
            for block in range(start, start + count):
                group, bit = divmod(block, GROUP_BLOCKS)
                self._blocks[group][bit >> 3] &= ~(1 << (bit & 7))

    def use_blocks(self, ranges: Sequence[Tuple[int, int]]) -> None:
        """Mark (start, blocks) as used by files."""
        for start, count in join(ranges):
            self._use(start, count)
            self._with_files.update(range(start // GROUP_BLOCKS, (start + count - 1) // GROUP_BLOCKS + 1))

    def use_inode(self, group: int, index: int, *, is_directory: bool) -> None:
        """Mark an inode as used; ``index`` counts from 0 in its group."""
        bitmap = self._inodes.setdefault(group, bytearray(BLOCK))
        bitmap[index >> 3] |= 1 << (index & 7)
        self._last_inode[group] = max(self._last_inode.get(group, 0), index)
        self._directories[group] += is_directory

    def free_inode(self, group: int, index: int, *, is_directory: bool) -> None:
        """Mark an inode as free again."""
        self._inodes[group][index >> 3] &= ~(1 << (index & 7))
        self._directories[group] -= is_directory

    def block_bitmap(self, group: BlockGroup) -> bytearray:
        """Return the bitmap of a group's blocks, with the bits beyond the end set."""
        return self._blocks[group.index]

    def inode_bitmap(self, group: BlockGroup) -> bytearray:
        """Return the bitmap of a group's inodes, with the bits beyond the end set."""
        bitmap = bytearray(self._inodes[group.index])
        set_range(bitmap, self._geometry.inodes_per_group, BLOCK * 8)
        return bitmap

    def usage(self, group: BlockGroup) -> GroupUsage:
        """Return the counts and flags of a group.

        BLOCK_UNINIT lets the kernel derive the bitmap, which it can only for a group that holds nothing but a
        copy of the superblock; the last group always has its bitmap (both as mke2fs does).
        """
        index, flags = group.index, INODE_ZEROED
        inodes = self._geometry.inodes_per_group
        free_inodes = unused = inodes
        if index in self._inodes:
            free_inodes = inodes - _count(self._inodes[index])
            unused = inodes - 1 - self._last_inode[index]
        else:
            flags |= INODE_UNINIT
        holds_metadata = index % FLEX_GROUPS == 0
        if index not in self._with_files and not holds_metadata and index != self._geometry.group_count - 1:
            flags |= BLOCK_UNINIT
            free = group.blocks - self._geometry.super_blocks(index)
        else:
            free = GROUP_BLOCKS - _count(self._blocks[index])
        return GroupUsage(free, free_inodes, self._directories[index], unused, flags)
