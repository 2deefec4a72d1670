"""Superblock, group descriptors and their copies.

Field offsets: docs.kernel.org, ext4, "Super Block" and "Block Group Descriptors".
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import List, NamedTuple, Sequence

from ingot.bake.disk.ext4.geometry import (
    BLOCK,
    DESCRIPTOR,
    FLEX_GROUPS,
    GROUP_BLOCKS,
    INODE_SIZE,
    RESERVED_DESCRIPTOR_BLOCKS,
    Geometry,
)

JOURNAL_INODE, RESIZE_INODE = 8, 7
COMPATIBLE = 0x04 | 0x08 | 0x10 | 0x20  # has_journal, ext_attr, resize_inode, dir_index
INCOMPATIBLE = 0x02 | 0x40 | 0x200  # filetype, extents, flex_bg
READ_ONLY_COMPATIBLE = (
    0x01 | 0x02 | 0x08 | 0x10 | 0x20 | 0x40
)  # sparse_super, large_file, huge_file, gdt_csum, dir_nlink, extra_isize
INODE_UNINIT, BLOCK_UNINIT, INODE_ZEROED = 1, 2, 4
MAGIC = 0xEF53


@dataclass(frozen=True)
class GroupUsage:
    """What one block group holds. ``unused_inodes`` counts those after the last used one."""

    free_blocks: int
    free_inodes: int
    directories: int
    unused_inodes: int
    flags: int


def _crc16_table() -> List[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return table


_CRC16 = _crc16_table()


def crc16(data: bytes, value: int = 0xFFFF) -> int:
    """Return the CRC-16 (polynomial 0x8005, reflected) that guards group descriptors (gdt_csum)."""
    for byte in data:
        value = value >> 8 ^ _CRC16[(value ^ byte) & 0xFF]
    return value


class FileSystemIdentity(NamedTuple):
    """What a file system is called, its id, the seed of its directories' hashes, its time in seconds."""

    label: str
    id: uuid.UUID
    hash_seed: uuid.UUID
    epoch: int


def superblock(
    geometry: Geometry, identity: FileSystemIdentity, usage: Sequence[GroupUsage], journal: bytes
) -> bytearray:
    """Return the 1024 bytes of the primary superblock.

    ``usage``: of every group. ``journal``: i_block and the two sizes of the journal's inode, 68 bytes.
    """
    epoch = identity.epoch
    data = bytearray(1024)

    def put(offset: int, layout: str, *values: object) -> None:
        struct.pack_into("<" + layout, data, offset, *values)

    # 1 % stays for root, so that a clone whose users fill the disk can still be repaired.
    put(
        0x00,
        "IIIIIII",
        geometry.inode_count,
        geometry.blocks,
        geometry.blocks // 100,
        sum(use.free_blocks for use in usage),
        sum(use.free_inodes for use in usage),
        0,
        2,
    )
    put(0x1C, "IIII", 2, GROUP_BLOCKS, GROUP_BLOCKS, geometry.inodes_per_group)
    put(0x30, "IHHHHHH", epoch, 0, 0xFFFF, MAGIC, 1, 1, 0)  # never mounted, clean, go on after errors
    put(0x40, "IIIIHH", epoch, 0, 0, 1, 0, 0)
    put(0x54, "IHHIII", 11, INODE_SIZE, 0, COMPATIBLE, INCOMPATIBLE, READ_ONLY_COMPATIBLE)
    put(0x68, "16s16s", identity.id.bytes, identity.label.encode("ascii"))
    put(0xCE, "H", RESERVED_DESCRIPTOR_BLOCKS)
    put(0xE0, "I", JOURNAL_INODE)
    put(
        0xEC, "16sBBH", identity.hash_seed.bytes, 1, 1, 0
    )  # half_md4 for directories; the journal's blocks are backed up below
    put(0x100, "III", 0x0C, 0, epoch)  # mount options: user_xattr, acl
    put(0x10C, "68s", journal)
    put(0x15C, "HHI", 32, 32, 1)  # room that inodes have and want; hashes are of signed characters
    put(0x174, "B", FLEX_GROUPS.bit_length() - 1)
    return data


def backup(primary: bytearray, group: int) -> bytearray:
    """Return a copy of the superblock for ``group``.

    Its free counts are zero: whoever uses a copy recounts (e2fsck trusts no counts of a copy), and so copies
    need not change with each file.
    """
    data = bytearray(primary)
    struct.pack_into("<II", data, 0x0C, 0, 0)
    struct.pack_into("<H", data, 0x5A, group)
    return data


def descriptors(geometry: Geometry, own_id: uuid.UUID, usage: Sequence[GroupUsage]) -> bytearray:
    """Return the group descriptors, padded to whole blocks."""
    table = bytearray(geometry.descriptor_blocks * BLOCK)
    seed = crc16(own_id.bytes)
    for group, use in zip(geometry.groups, usage):  # noqa: B905 - Python 3.9; one for each group
        one = struct.pack(
            "<IIIHHHHIHHH",
            group.block_bitmap, group.inode_bitmap, group.inode_table,
            use.free_blocks, use.free_inodes, use.directories, use.flags, 0, 0, 0, use.unused_inodes,
        )  # fmt: skip
        checksum = crc16(one, crc16(struct.pack("<I", group.index), seed))
        table[group.index * DESCRIPTOR : (group.index + 1) * DESCRIPTOR] = one + struct.pack("<H", checksum)
    return table


def backup_usage() -> GroupUsage:
    """Return what descriptors in copies say of every group: see :func:`backup`."""
    return GroupUsage(0, 0, 0, 0, INODE_ZEROED)
