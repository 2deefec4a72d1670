"""Where the metadata of the file system lies: block groups, flexible groups, reserved room to grow.

The layout is mke2fs's, so that the kernel and resize2fs find what they know: 16 groups share one place for
their bitmaps and inode tables (flex_bg), copies of the superblock are in groups 1 and the powers of 3, 5
and 7 (sparse_super), and each is followed by reserved descriptor blocks (resize_inode), for clones grow the
file system to the size of their volume while mounted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Tuple

BLOCK = 4096
GROUP_BLOCKS = 32768  # what one bitmap block can describe
INODE_SIZE = 256
FLEX_GROUPS = 16
DESCRIPTOR = 32
# With 128 descriptors to a block and 128 MiB to a group: room to grow to 1 TiB; beyond, the kernel turns to
# meta_bg by itself. Not more: superblock, descriptors and bitmaps have to fit into the first 512 KiB.
RESERVED_DESCRIPTOR_BLOCKS = 64
# Inode tables begin at a whole 512 KiB, so that groups of inodes fall into snapshot blocks of their own.
TABLE_ALIGNMENT = 128
INODES_PER_GROUP = 8192  # one for 16 KiB, mke2fs's default
MOST_INODES_PER_GROUP = 16384  # the tables of 16 groups then still fit into the first of them
FIRST_INODE = 12  # after the reserved ones and lost+found


@dataclass(frozen=True)
class BlockGroup:
    """One block group. All numbers are blocks of 4 KiB from the start of the file system."""

    index: int
    start: int
    blocks: int
    has_super: bool
    block_bitmap: int
    inode_bitmap: int
    inode_table: int


def has_super(group: int) -> bool:
    """Whether a block group carries a copy of the superblock."""
    if group <= 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


class Geometry:
    """The layout of a file system of ``size`` bytes with ``inodes_per_group`` inodes in each group."""

    def __init__(self, size: int, inodes_per_group: int = INODES_PER_GROUP) -> None:
        self.inodes_per_group = inodes_per_group
        self.table_blocks = inodes_per_group * INODE_SIZE // BLOCK
        self.blocks = size // BLOCK
        # A short last group must at least hold its own metadata and something useful; else it is left out.
        last, rest = divmod(self.blocks, GROUP_BLOCKS)
        tables = 2 * TABLE_ALIGNMENT + self.table_blocks if last % FLEX_GROUPS == 0 else 0
        if rest < RESERVED_DESCRIPTOR_BLOCKS + tables + 256:
            self.blocks -= rest
        self.group_count = -(-self.blocks // GROUP_BLOCKS)
        self.descriptor_blocks = -(-self.group_count * DESCRIPTOR // BLOCK)
        self.groups: List[BlockGroup] = []
        for first in range(0, self.group_count, FLEX_GROUPS):
            self._add_flex_group(first)

    @property
    def inode_count(self) -> int:
        """How many inodes there are, used or not."""
        return self.inodes_per_group * self.group_count

    def super_blocks(self, group: int) -> int:
        """Return how many blocks at the start of ``group`` hold superblock, descriptors
        and the room for more of them.
        """
        return 1 + self.descriptor_blocks + RESERVED_DESCRIPTOR_BLOCKS if has_super(group) else 0

    def _add_flex_group(self, first: int) -> None:
        count = min(FLEX_GROUPS, self.group_count - first)
        bitmaps = first * GROUP_BLOCKS + self.super_blocks(first)
        tables = -(-(bitmaps + 2 * count) // TABLE_ALIGNMENT) * TABLE_ALIGNMENT
        for number in range(count):
            index = first + number
            start = index * GROUP_BLOCKS
            length = min(GROUP_BLOCKS, self.blocks - start)
            table = tables + number * self.table_blocks
            self.groups.append(
                BlockGroup(
                    index, start, length, has_super(index), bitmaps + number, bitmaps + count + number, table
                )
            )

    def metadata(self) -> Iterator[Tuple[int, int]]:
        """Yield (start, blocks) of everything that is not for files, in ascending order, without overlap."""
        for group in self.groups:
            if group.has_super:
                yield group.start, self.super_blocks(group.index)
            if group.index % FLEX_GROUPS == 0:
                members = self.groups[group.index : group.index + FLEX_GROUPS]
                yield group.block_bitmap, 2 * len(members)
                yield group.inode_table, len(members) * self.table_blocks

    def free_segments(self) -> List[Tuple[int, int]]:
        """Return (start, end) of the room for files, in ascending order."""
        segments = []
        at = 0
        for start, blocks in self.metadata():
            if start > at:
                segments.append((at, start))
            at = max(at, start + blocks)
        if at < self.blocks:
            segments.append((at, self.blocks))
        return segments
