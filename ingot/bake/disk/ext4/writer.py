"""Writes a finished, clean ext4 file system: the same entries give the same bytes, wherever and whenever."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ingot.bake.disk.ext4 import extents, inode, superblock
from ingot.bake.disk.ext4.bitmaps import Bitmaps, InodeUsage, join
from ingot.bake.disk.ext4.geometry import (
    BLOCK,
    GROUP_BLOCKS,
    INODE_SIZE,
    INODES_PER_GROUP,
    MOST_INODES_PER_GROUP,
    RESERVED_DESCRIPTOR_BLOCKS,
    TABLE_ALIGNMENT,
    Geometry,
)
from ingot.bake.disk.ext4.node import PlannedInode, build_nodes, first_upper_inode, number_inodes, whole_tree
from ingot.bake.disk.ext4.placement import NoRoomError, place_lower
from ingot.bake.disk.identity import identifier
from ingot.bake.disk.image import DiskLayout
from ingot.bake.tree.tree import Entry, Kind, encode
from ingot.errors import BakeError
from ingot.quantities import GIB

LABEL = "ingot-root"
_POINTERS = BLOCK // 4


class TooSmallError(BakeError):
    """The content needs a file system of at least ``needed`` bytes."""

    def __init__(self, size: int, needed: int) -> None:
        super().__init__(f"the file system of {size} bytes is too small; needs at least {needed}")
        self.needed = needed


def journal_blocks(size: int) -> int:
    """Return the size of the journal in blocks: 16 MiB for less than 1 GiB, 32 below 4
    GiB, else 64 (e2fsprogs takes up to twice).
    """
    if size < GIB:
        return 4096
    return 8192 if size < 4 * GIB else 16384


class More(NamedTuple):
    """What the upper layer needs: room for so many ``inodes``, and ``size`` bytes, which
    only the message of an error tells.
    """

    inodes: int = 4096
    size: int = 0


NO_MORE = More()


@dataclass(frozen=True)
class Layout:
    """What a later update needs to know of a file system with the lower layer alone
    (:mod:`ingot.bake.disk.ext4.update`).

    ``at`` is the first block behind the lower layer's, ``next_inode`` the number after its last, ``used``
    what its files occupy as (start, blocks), ``journal`` what the superblock keeps of the journal's inode.
    """

    size: int
    inodes_per_group: int
    at: int
    next_inode: int
    used: List[Tuple[int, int]]
    inodes: InodeUsage
    journal: bytes


def write_ext4(
    image: DiskLayout,
    offset: int,
    size: int,
    *,
    name: str,
    entries: Sequence[Entry],
    epoch: int,
    more: More = NO_MORE,
) -> Layout:
    """Put a file system of ``size`` bytes with ``entries`` (sorted) at ``offset`` of the
    disk of the recipe ``name``.

    ``more`` is what the upper layer is expected to need. Raises TooSmallError, or BakeError for a tree that
    cannot be stored.
    """
    entries = whole_tree(entries, epoch)
    numbers, following = number_inodes(entries)
    nodes = build_nodes(entries, numbers)
    last = first_upper_inode(following) + more.inodes - 1
    geometry = Geometry(size, inodes_needed(size, last))
    try:
        places, room = place_lower(nodes, geometry, [journal_blocks(size), 1])
    except NoRoomError:
        content = sum(node.data_blocks + bool(node.xattr_content) for node in nodes)
        blocks = content + -(-more.size // BLOCK) + 2 * TABLE_ALIGNMENT
        raise TooSmallError(size, size_for(blocks, last)) from None
    writer = Writer(image, offset, geometry, name, epoch)
    for node in nodes:
        writer.add(node)
    journal = writer.add_journal(places[0])
    writer.add_resize_inode(places[1][0][0])
    used = join(room.used)
    writer.bitmaps.use_blocks(used)
    inodes = writer.bitmaps.inodes
    writer.finish(journal)
    return Layout(size, geometry.inodes_per_group, room.at, following, used, inodes, journal)


def inodes_needed(size: int, last_inode: int) -> int:
    """Return how many inodes each group must have so that there is a number ``last_inode``.

    Raises TooSmallError.
    """
    inodes = INODES_PER_GROUP
    while Geometry(size, inodes).inode_count < last_inode:
        inodes *= 2
        if inodes > MOST_INODES_PER_GROUP:
            groups = -(-last_inode // MOST_INODES_PER_GROUP)
            raise TooSmallError(size, groups * GROUP_BLOCKS * BLOCK)
    return inodes


def size_for(blocks: int, last_inode: int) -> int:
    """Return the smallest size in bytes, to 16 MiB, that holds ``blocks`` of content
    beside the journal, and so many inodes.
    """
    step = 16 << 20
    size = -(-blocks * BLOCK // step) * step
    while True:
        geometry = Geometry(size, inodes_needed(size, last_inode))
        free = sum(end - start for start, end in geometry.free_segments())
        if free >= blocks + journal_blocks(size):
            return size
        size += step


class Writer:
    """Collects inodes and usage while it puts contents on the image."""

    def __init__(self, image: DiskLayout, offset: int, geometry: Geometry, name: str, epoch: int) -> None:
        self._image = image
        self._offset = offset
        self._geometry = geometry
        self._epoch = epoch
        self._id = identifier(name, "root file system")
        self._hash_seed = identifier(name, "root hash seed")
        self._tables: Dict[int, bytearray] = {}
        self.bitmaps = Bitmaps(geometry)

    def put(self, block: int, data: "bytes | bytearray") -> None:
        """Put ``data`` at a block of the file system."""
        self._image.put(self._offset + block * BLOCK, data)

    def put_inode(self, number: int, data: bytes, *, is_directory: bool = False) -> None:
        """Put an inode into its group's table, and mark it as used."""
        per_group = self._geometry.inodes_per_group
        group, index = divmod(number - 1, per_group)
        table = self._tables.get(group)
        if table is None:
            table = self._tables[group] = bytearray(per_group * INODE_SIZE)
        table[index * INODE_SIZE : index * INODE_SIZE + len(data)] = data
        self.bitmaps.use_inode(group, index, is_directory=is_directory)

    def add(self, node: PlannedInode) -> None:
        """Put a node's inode, tree, attributes and content."""
        root, leaves = extents.build(node.extents, node.leaves)
        for block, data in leaves:
            self.put(block, data)
        if node.xattr_content:
            self.put(node.xattr_block, node.xattr_content)
        self.put_inode(node.number, inode.pack_node(node, self._epoch, root), is_directory=node.is_directory)
        if node.is_directory:
            data = b"".join(node.directory_data())
            for extent in node.extents:
                self.put(
                    extent.physical, data[extent.logical * BLOCK : (extent.logical + extent.length) * BLOCK]
                )
        elif node.extents:
            self._add_content(node)

    def _add_content(self, node: PlannedInode) -> None:
        entry = node.entry
        size = entry.size if entry.kind is Kind.FILE else len(node.content or b"")
        source = encode(entry.source) if entry.source is not None else b""
        for extent in node.extents:
            start = extent.logical * BLOCK
            length = min(extent.length * BLOCK, size - start)
            at = self._offset + extent.physical * BLOCK
            if node.content is not None:
                self._image.put(at, node.content[start : start + length])
            else:
                self._image.put_file(at, length, source, start)

    def add_journal(self, places: Sequence[Tuple[int, int]]) -> bytes:
        """Put an empty journal; return what the superblock keeps of its inode."""
        length = sum(count for _, count in places)
        pieces: List[extents.Extent] = []
        for start, count in places:
            pieces.append(extents.Extent(sum(e.length for e in pieces), start, count))
        root, _ = extents.build(pieces, [])
        times = (self._epoch, self._epoch)
        journal = inode.Inode(0o100600, length * BLOCK, times, length, inode.EXTENTS_FLAG, root)
        self.put_inode(superblock.JOURNAL_INODE, journal.pack())
        # Big-endian: magic, version 2 superblock, block size, length, first block, first sequence number,
        # clean (start 0).
        head = struct.pack(">IIIIIIIII", 0xC03B3998, 4, 0, BLOCK, length, 1, 1, 0, 0)
        self.put(places[0][0], head + bytes(12) + self._id.bytes + struct.pack(">I", 1))
        return root + struct.pack("<II", length * BLOCK >> 32, length * BLOCK & 0xFFFFFFFF)

    def add_resize_inode(self, map_block: int) -> None:
        """Put the inode that owns the reserved descriptor blocks, in the form that the
        kernel's resizer checks (fs/ext4/resize.c).
        """
        geometry = self._geometry
        copies = [group.start for group in geometry.groups if group.has_super and group.index]
        first = 1 + geometry.descriptor_blocks
        top = bytearray(BLOCK)
        for number in range(RESERVED_DESCRIPTOR_BLOCKS):
            block = first + number
            struct.pack_into("<I", top, (geometry.descriptor_blocks + number) % _POINTERS * 4, block)
            self.put(block, struct.pack(f"<{len(copies)}I", *(start + block for start in copies)))
        self.put(map_block, top)
        # The double indirect pointer is the 14th; the size is what single and double indirection together can
        # reach.
        pointers = struct.pack("<15I", *([0] * 13), map_block, 0)
        size = BLOCK * (12 + _POINTERS + _POINTERS * _POINTERS)
        owned = 1 + RESERVED_DESCRIPTOR_BLOCKS * (1 + len(copies))
        times = (self._epoch, self._epoch)
        resize = inode.Inode(0o100600, size, times, owned, 0, pointers)
        self.put_inode(superblock.RESIZE_INODE, resize.pack())

    def finish(self, journal: bytes) -> None:
        """Put inode tables, bitmaps, descriptors and superblocks."""
        geometry = self._geometry
        for index, table in self._tables.items():
            self.put(geometry.groups[index].inode_table, table)
        primary = self.put_usage(journal)
        copies = superblock.descriptors(
            geometry, self._id, [superblock.backup_usage()] * geometry.group_count
        )
        for group in geometry.groups[1:]:
            if group.has_super:
                self.put(group.start, superblock.backup(primary, group.index))
                self.put(group.start + 1, copies)

    def put_usage(self, journal: bytes) -> bytearray:
        """Put what tells used from free: bitmaps, descriptors, the first superblock.

        Returns the superblock.
        """
        geometry = self._geometry
        usage = [self.bitmaps.usage(group) for group in geometry.groups]
        for group, use in zip(geometry.groups, usage):  # noqa: B905 - Python 3.9; one for each group
            if not use.flags & superblock.BLOCK_UNINIT:
                self.put(group.block_bitmap, self.bitmaps.block_bitmap(group))
            if not use.flags & superblock.INODE_UNINIT:
                self.put(group.inode_bitmap, self.bitmaps.inode_bitmap(group))
        identity = superblock.FileSystemIdentity(LABEL, self._id, self._hash_seed, self._epoch)
        primary = superblock.superblock(geometry, identity, usage, journal)
        self._image.put(self._offset + 1024, primary)
        self.put(1, superblock.descriptors(geometry, self._id, usage))
        return primary
