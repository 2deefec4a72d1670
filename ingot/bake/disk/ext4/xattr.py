"""Extended attributes: in the inode's spare 96 bytes where they fit, else in one block.

Format: docs.kernel.org, ext4, "Extended Attributes"; the hashes follow fs/ext4/xattr.c.
"""

from __future__ import annotations

import struct
from typing import List, Sequence, Tuple

from ingot.bake.disk.ext4.geometry import BLOCK, INODE_SIZE
from ingot.errors import BakeError

_MAGIC = 0xEA020000
INODE_ROOM = INODE_SIZE - 160
_ENTRY = struct.Struct("<BBHIII")
# Names on disk lose their prefix for a number; for the ACLs the number is the whole name.
_PREFIXES = (
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (1, "user."),
    (4, "trusted."),
    (6, "security."),
)
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_NAMED_ENTRIES = (0x02, 0x08)  # ACL_USER, ACL_GROUP: the only ones with an id on disk


def _split(name: str) -> Tuple[int, bytes]:
    for index, prefix in _PREFIXES:
        if name.startswith(prefix):
            return index, name[len(prefix) :].encode("utf-8", "surrogateescape")
    raise BakeError(
        f"the extended attribute {name} cannot be kept: names begin with {', '.join(p for _, p in _PREFIXES)}"
    )


def _acl_to_disk(value: bytes) -> bytes:
    """Turn the form of getxattr(2) (version 2, ids everywhere) into ext4's (version 1,
    ids where they mean something).
    """
    packed = struct.pack("<I", 1)
    for at in range(4, len(value), 8):
        tag, permissions, identity = struct.unpack_from("<HHI", value, at)
        packed += struct.pack("<HH", tag, permissions)
        if tag in _NAMED_ENTRIES:
            packed += struct.pack("<I", identity)
    return packed


def _acl_from_disk(value: bytes) -> bytes:
    unpacked = struct.pack("<I", 2)
    at = 4
    while at < len(value):
        tag, permissions = struct.unpack_from("<HH", value, at)
        at += 4
        identity = 0xFFFFFFFF
        if tag in _NAMED_ENTRIES:
            identity = struct.unpack_from("<I", value, at)[0]
            at += 4
        unpacked += struct.pack("<HHI", tag, permissions, identity)
    return unpacked


def _entry_hash(name: bytes, value: bytes) -> int:
    result = 0
    for byte in name:
        result = ((result << 5) ^ (result >> 27) ^ byte) & 0xFFFFFFFF
    padded = value + bytes(-len(value) % 4)
    for (word,) in struct.iter_unpack("<I", padded):
        result = ((result << 16) ^ (result >> 16) ^ word) & 0xFFFFFFFF
    return result


def _pack(items: Sequence[Tuple[int, bytes, bytes]], room: int, base: int) -> Tuple[bytes, List[int]]:
    """Return entries from the front and values from the back, ``room`` bytes in all;
    offsets count from ``base`` before it.

    Returns nothing when they do not fit; four zero bytes have to end the list of entries.
    """
    sizes = sum(
        16 + len(name) + (-len(name) % 4) + len(value) + (-len(value) % 4) for _, name, value in items
    )
    if sizes + 4 > room:
        return b"", []
    head, tail, hashes = b"", b"", []
    for index, name, value in items:
        tail = value + bytes(-len(value) % 4) + tail
        offset = base + room - len(tail) if value else 0
        hashes.append(_entry_hash(name, value))
        head += (
            _ENTRY.pack(len(name), index, offset, 0, len(value), hashes[-1]) + name + bytes(-len(name) % 4)
        )
    return head + bytes(room - len(head) - len(tail)) + tail, hashes


def build(attributes: Sequence[Tuple[str, bytes]], path: str) -> Tuple[bytes, bytes]:
    """Return the 96 bytes for the inode and the block: one of them is empty.

    Raises BakeError when they do not fit a block.
    """
    if not attributes:
        return b"", b""
    named = [(*_split(name), _acl_to_disk(value) if name in _ACLS else value) for name, value in attributes]
    items = sorted(named, key=lambda item: (item[0], len(item[1]), item[1]))
    inside, _ = _pack(items, INODE_ROOM - 4, 0)
    if inside:
        return struct.pack("<I", _MAGIC) + inside, b""
    body, hashes = _pack(items, BLOCK - 32, 32)
    if not body:
        raise BakeError(
            f"{path}: the extended attributes do not fit 4 KiB, which is all that ext4 gives them"
        )
    total = 0
    for one in hashes:
        total = ((total << 16) ^ (total >> 16) ^ one) & 0xFFFFFFFF
    return b"", struct.pack("<IIIII12x", _MAGIC, 1, 1, 0 if 0 in hashes else total, 0) + body


def parse(entries: bytes, values: bytes) -> List[Tuple[str, bytes]]:
    """Return the attributes whose entries begin ``entries``; offsets count from the start of ``values``."""
    found = []
    at = 0
    while at + 16 <= len(entries) and entries[at : at + 4] != b"\0\0\0\0":
        length, index, offset, _, size, _ = _ENTRY.unpack_from(entries, at)
        name = entries[at + 16 : at + 16 + length].decode("utf-8", "surrogateescape")
        full = dict(_PREFIXES).get(index, f"{index}:") + name
        value = values[offset : offset + size]
        found.append((full, _acl_from_disk(value) if full in _ACLS else value))
        at += 16 + length + (-length % 4)
    return sorted(found)


def parse_inode(spare: bytes) -> List[Tuple[str, bytes]]:
    """Return the attributes in the bytes of an inode after its fields."""
    if spare[:4] != struct.pack("<I", _MAGIC):
        return []
    return parse(spare[4:], spare[4:])


def parse_block(block: bytes) -> List[Tuple[str, bytes]]:
    """Return the attributes in an attribute block."""
    return parse(block[32:], block)
