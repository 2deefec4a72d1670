"""Directories: blocks of entries in the order of their names.

There is no hash tree: the kernel walks large directories of an image linearly, and makes a tree of any that
grows beyond one block.
"""

from __future__ import annotations

import struct
from typing import Iterator, List, Sequence, Tuple

from ingot.bake.disk.ext4.geometry import BLOCK

TYPE_FILE, TYPE_DIRECTORY, TYPE_CHARACTER, TYPE_BLOCK, TYPE_FIFO, TYPE_SYMLINK = 1, 2, 3, 4, 5, 7
_HEAD = struct.Struct("<IHBB")
Child = Tuple[bytes, int, int]  # name, inode, type


def build(own: int, parent: int, children: Sequence[Child]) -> List[bytearray]:
    """Return the blocks of a directory.

    ``children``: (name, inode, type); ``own`` and ``parent`` are inode numbers.
    """
    blocks = [bytearray(BLOCK)]
    block, at, last = blocks[0], 0, 0
    for name, inode, kind in ((b".", own, TYPE_DIRECTORY), (b"..", parent, TYPE_DIRECTORY), *children):
        length = 8 + (len(name) + 3 & ~3)
        if at + length > BLOCK:
            _stretch(block, last)
            block, at = bytearray(BLOCK), 0
            blocks.append(block)
        _HEAD.pack_into(block, at, inode, length, len(name), kind)
        block[at + 8 : at + 8 + len(name)] = name
        at, last = at + length, at
    _stretch(block, last)
    return blocks


def _stretch(block: bytearray, last: int) -> None:
    """Let the last entry of a block reach to its end, as the format wants."""
    struct.pack_into("<H", block, last + 4, BLOCK - last)


def blocks_needed(names: Sequence[bytes]) -> int:
    """Return how many blocks a directory with these names takes."""
    count, at = 1, 24  # `.` and `..` take 12 bytes each
    for name in names:
        length = 8 + (len(name) + 3 & ~3)
        if at + length > BLOCK:
            count, at = count + 1, 0
        at += length
    return count


def parse(content: bytes) -> Iterator[Child]:
    """Yield each entry but ``.`` and ``..``."""
    at = 0
    while at + 8 <= len(content):
        inode, length, name_length, kind = _HEAD.unpack_from(content, at)
        if length < 8:
            return
        name = content[at + 8 : at + 8 + name_length]
        if inode and name not in (b".", b".."):
            yield name, inode, kind
        at += length
