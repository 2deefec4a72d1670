"""Puts the upper layer on a file system that holds the lower one: only what the recipe changed is written.

What was freed is zeroed, so nothing that a recipe removes or replaces can be found on the disk. Freed blocks
and inodes stay free: the places of all else depend on the lower layer alone. A directory of the lower layer
keeps its inode; its list of names moves to the upper layer's area when a name comes or goes.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Callable, Dict, List, Mapping, Sequence, Tuple

from ingot.bake.disk.ext4.geometry import BLOCK, INODE_SIZE, TABLE_ALIGNMENT, Geometry
from ingot.bake.disk.ext4.node import PlannedInode, build_nodes, first_upper_inode, number_inodes
from ingot.bake.disk.ext4.placement import NoRoomError, place_upper
from ingot.bake.disk.ext4.reader import Ext4Reader
from ingot.bake.disk.ext4.writer import Layout, TooSmallError, Writer, size_for
from ingot.bake.disk.image import DiskLayout
from ingot.bake.tree.tree import Changes, Entry, encode

_LINKS_AT = 0x1A  # i_links_count
_DIRECTORY = 0o040000


class Lower:
    """A lower layer on its disk: ``reader`` has the disk open, ``numbers`` are its
    inodes, ``entry`` gives an entry by path.
    """

    def __init__(
        self, layout: Layout, reader: Ext4Reader, numbers: Mapping[str, int], entry: Callable[[str], Entry]
    ) -> None:
        self.layout = layout
        self.reader = reader
        self.numbers = numbers
        self.entry = entry


def update_ext4(
    image: DiskLayout, offset: int, lower: Lower, changes: Changes, *, name: str, epoch: int
) -> None:
    """Put on ``image`` what ``changes`` make different on the lower layer's file system.

    Raises TooSmallError, BakeError.
    """
    layout = lower.layout
    geometry = Geometry(layout.size, layout.inodes_per_group)
    kept, fresh, last = _nodes(lower, changes)
    nodes = sorted([*kept, *fresh], key=lambda node: encode(node.entry.path))
    try:
        room = place_upper(nodes, geometry, layout.at)
    except NoRoomError:
        content = sum(node.data_blocks + bool(node.xattr_content) for node in nodes)
        held = sum(count for _, count in layout.used) + 2 * TABLE_ALIGNMENT
        raise TooSmallError(layout.size, size_for(held + content, last)) from None
    writer = _Updater(image, offset, geometry, name, epoch)
    writer.bitmaps.use_blocks(layout.used)
    writer.bitmaps.inodes = layout.inodes
    _unlink(writer, lower, changes.gone)
    for node in kept:
        writer.free(lower.reader.blocks_of(node.number))
        writer.free_inode(node.number, is_directory=True)
    for node in nodes:
        writer.add(node)
    writer.bitmaps.use_blocks(room.used)
    writer.put_usage(layout.journal)


def _nodes(lower: Lower, changes: Changes) -> Tuple[List[PlannedInode], List[PlannedInode], int]:
    """Return the nodes of the lower layer's directories that change, those of all that is
    new, and the last inode's number.
    """
    gone = set(changes.gone)
    changed = {entry.path: entry for entry in changes.entries if entry.path in lower.numbers}
    stay = {path: entry for path, entry in changed.items() if path not in gone}
    fresh = [entry for entry in changes.entries if entry.path not in stay]
    parents = {parent_of(path) for path in (*changes.gone, *(entry.path for entry in fresh))}
    wanted = {path for path in parents if path in lower.numbers and path not in gone} | set(stay)
    removed: Dict[str, List[bytes]] = {}
    for path in changes.gone:
        removed.setdefault(parent_of(path), []).append(encode(path.rpartition("/")[2]))
    kept = {}
    for path in sorted(wanted):
        number = lower.numbers[path]
        node = PlannedInode(stay.get(path) or lower.entry(path), number, lower.numbers[parent_of(path)])
        names = set(removed.get(path, ()))
        node.children = [child for child in lower.reader.children(number) if child[0] not in names]
        kept[path] = node
    numbers, following = number_inodes(fresh, first_upper_inode(lower.layout.next_inode))
    nodes = build_nodes(fresh, numbers, kept)
    for node in kept.values():
        node.finish()
    return list(kept.values()), nodes, following - 1


def parent_of(path: str) -> str:
    """Return the directory of ``path``; the root is its own."""
    return path.rpartition("/")[0] or "/"


def _unlink(writer: "_Updater", lower: Lower, gone: Sequence[str]) -> None:
    """Take the names ``gone`` from their inodes; free those without a name."""
    for number, names in sorted(Counter(lower.numbers[path] for path in gone).items()):
        raw = lower.reader.raw_inode(number)
        mode, links = struct.unpack_from("<H", raw)[0], struct.unpack_from("<H", raw, _LINKS_AT)[0]
        is_directory = mode & 0o170000 == _DIRECTORY
        if is_directory or names >= links:
            writer.free(lower.reader.blocks_of(number))
            writer.erase_inode(number, is_directory=is_directory)
        else:
            writer.put_inode(
                number, raw[:_LINKS_AT] + struct.pack("<H", links - names) + raw[_LINKS_AT + 2 :]
            )


class _Updater(Writer):
    """Puts single inodes, where the writer puts whole tables."""

    def put_inode(self, number: int, data: bytes, *, is_directory: bool = False) -> None:
        """Put an inode, and mark it as used."""
        group, index = self._place(number)
        self._image.put(self._slot(number), data.ljust(INODE_SIZE, b"\0"))
        self.bitmaps.use_inode(group, index, is_directory=is_directory)

    def free_inode(self, number: int, *, is_directory: bool) -> None:
        """Mark an inode as free: it is either written again or not used at all."""
        self.bitmaps.free_inode(*self._place(number), is_directory=is_directory)

    def erase_inode(self, number: int, *, is_directory: bool) -> None:
        """Mark an inode as free, and zero it."""
        self.free_inode(number, is_directory=is_directory)
        self._image.put_zeros(self._slot(number), INODE_SIZE)

    def free(self, ranges: Sequence[Tuple[int, int]]) -> None:
        """Mark blocks as free, and zero them."""
        self.bitmaps.free_blocks(ranges)
        for start, count in ranges:
            self._image.put_zeros(self._offset + start * BLOCK, count * BLOCK)

    def _place(self, number: int) -> Tuple[int, int]:
        return divmod(number - 1, self._geometry.inodes_per_group)

    def _slot(self, number: int) -> int:
        """Return where an inode lies on the disk."""
        group, index = self._place(number)
        return self._offset + self._geometry.groups[group].inode_table * BLOCK + index * INODE_SIZE
