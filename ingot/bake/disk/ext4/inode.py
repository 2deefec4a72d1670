"""Inodes as bytes. Field offsets: docs.kernel.org, ext4, "Index Nodes"."""

from __future__ import annotations

import struct
from typing import NamedTuple, Tuple

from ingot.bake.disk.ext4.geometry import BLOCK
from ingot.bake.disk.ext4.node import PlannedInode
from ingot.bake.tree.tree import Kind

MODES = {
    Kind.FILE: 0o100000,
    Kind.DIRECTORY: 0o040000,
    Kind.SYMLINK: 0o120000,
    Kind.CHARACTER: 0o020000,
    Kind.BLOCK: 0o060000,
    Kind.FIFO: 0o010000,
}
EXTENTS_FLAG = 0x80000
_BASE = struct.Struct("<HHIIIIIHHII4x60sIIII2xHHH4x")
_EXTRA = struct.Struct("<HHIIIII8x")


class Inode(NamedTuple):
    """An inode.

    ``times``: of the content, and of all else; ``blocks``: how many blocks of 4 KiB it owns, trees included;
    ``block``: the root of its extent tree, or what takes its place.
    """

    mode: int
    size: int
    times: Tuple[int, int]
    blocks: int
    flags: int
    block: bytes
    owner: Tuple[int, int] = (0, 0)
    links: int = 1
    xattr_block: int = 0

    def pack(self) -> bytes:
        """Return its 160 bytes."""
        uid, gid = self.owner
        modified, other = self.times
        sectors = self.blocks * (BLOCK // 512)
        base = _BASE.pack(
            self.mode,
            uid & 0xFFFF,
            self.size & 0xFFFFFFFF,
            other & 0xFFFFFFFF,
            other & 0xFFFFFFFF,
            modified & 0xFFFFFFFF,
            0,
            gid & 0xFFFF,
            self.links,
            sectors & 0xFFFFFFFF,
            self.flags,
            self.block,
            0,
            self.xattr_block,
            self.size >> 32,
            0,
            0,
            uid >> 16,
            gid >> 16,
        )
        extra_other, extra_modified = _epoch_bits(other), _epoch_bits(modified)
        return base + _EXTRA.pack(
            32, 0, extra_other, extra_modified, extra_other, other & 0xFFFFFFFF, extra_other
        )


def _epoch_bits(moment: int) -> int:
    """Return the two bits that carry a time beyond 2038: the field itself is signed
    (docs: "Inode Timestamps").
    """
    low = moment & 0xFFFFFFFF
    signed = low - (1 << 32) if low >= 1 << 31 else low
    return (moment - signed >> 32) & 3


def pack_node(node: PlannedInode, epoch: int, block: bytes) -> bytes:
    """Return the inode of ``node``, its attributes included; ``block`` is the extent tree's root.

    No time is later than ``epoch``.
    """
    entry = node.entry
    flags = EXTENTS_FLAG
    size = entry.size
    if node.is_directory:
        size = node.data_blocks * BLOCK
    elif node.inline:
        block, flags = node.inline, 0
    elif entry.kind in (Kind.CHARACTER, Kind.BLOCK):
        block, flags, size = _device(*entry.device), 0, 0
    elif entry.kind is Kind.FIFO:
        block, flags, size = bytes(60), 0, 0
    if entry.kind is Kind.SYMLINK:
        size = len(node.content) if node.content else len(node.inline.rstrip(b"\0"))
    found = Inode(
        MODES[entry.kind] | entry.mode, size, (min(entry.mtime, epoch), epoch), node.all_blocks, flags, block,
        (entry.uid, entry.gid), node.links, node.xattr_block,
    )  # fmt: skip
    return found.pack() + node.xattr_inline


def _device(major: int, minor: int) -> bytes:
    """Return the block field of a device: the old 16-bit form where it suffices, else the
    new one (fs/ext4/ialloc, new_encode_dev).
    """
    if major < 256 and minor < 256:
        return struct.pack("<II", major << 8 | minor, 0).ljust(60, b"\0")
    return struct.pack("<II", 0, minor & 0xFF | major << 8 | (minor & ~0xFF) << 12).ljust(60, b"\0")
