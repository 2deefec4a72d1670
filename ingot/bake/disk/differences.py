"""Which things of a disk differ from another's, each with its first byte on the disk: for a recipe that does
not bake to the same bytes. And which lie in a block of it: for blocks that are damaged.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ingot.bake.disk import gpt
from ingot.bake.disk.ext4.geometry import BLOCK, INODE_SIZE
from ingot.bake.disk.ext4.reader import Ext4Reader, read_ext4
from ingot.blocks import BLOCK_SIZE, read_block
from ingot.errors import BakeError

TABLE, BOOT, METADATA, INODE = (
    "the partition table",
    "the boot partition",
    "the root file system's metadata",
    "the inode of ",
)
_HEAD = 17 * 1024


class Difference(NamedTuple):
    """A thing of which bytes differ: a file's path, or words for what is no file.

    ``offset`` and ``inside`` count in bytes, from the start of the disk and of the thing; ``differing`` is
    how many bytes differ.
    """

    what: str
    offset: int
    inside: int
    differing: int


def differences(one: Path, other: Path, blocks: Sequence[int]) -> List[Difference]:
    """Return what differs between two disks in the blocks of 512 KiB with these indexes,
    in the order of the bytes.

    Names and places of files are those on ``one``. Raises BakeError when a disk cannot be read.
    """
    found: Dict[str, Difference] = {}
    with read_ext4(one) as reader, one.open("rb") as left, other.open("rb") as right:
        spans = sorted(_spans(reader))
        starts = [span.start for span in spans]
        for index in blocks:
            pair = (read_block(file.fileno(), index) for file in (left, right))
            for at, first, count in _pieces(*pair):
                offset = index * BLOCK_SIZE + at
                what, inside = _owner(spans, starts, offset)
                difference = found.get(what) or Difference(what, offset + first, inside + first, 0)
                found[what] = difference._replace(differing=difference.differing + count)
    return list(found.values())


def things_in(disk: Path, blocks: Sequence[int]) -> Dict[int, List[str]]:
    """Return what the blocks of 512 KiB with these indexes hold: paths of files in their order on the
    disk, the inode of a file only where the file itself is elsewhere, and a description of anything else.

    The content of these blocks does not matter, except where the file system keeps its own records in them.
    Raises BakeError when the rest cannot be read without them.
    """
    try:
        with read_ext4(disk) as reader:
            spans = sorted(_spans(reader))
    except (struct.error, LookupError, ValueError, OSError) as error:
        raise BakeError(f"{disk}: the root file system is damaged: {error!r}") from error
    found: Dict[int, List[str]] = {}
    for index in blocks:
        begin, end = index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE
        held = [span.what for span in spans if span.start < end and begin < span.start + span.length]
        files = [what for what in held if not what.startswith(INODE)]
        found[index] = list(dict.fromkeys(files or held or [METADATA]))
    return found


def _pieces(one: bytes, other: bytes) -> Iterator[Tuple[int, int, int]]:
    """Yield the pieces that differ: offset, the first byte that differs in it, how many do.

    None is part of two things.
    """
    for page in range(0, len(one), BLOCK):
        if one[page : page + BLOCK] == other[page : page + BLOCK]:
            continue
        for at in range(page, page + BLOCK, INODE_SIZE):
            places = [n for n in range(INODE_SIZE) if one[at + n] != other[at + n]]
            if places:
                yield at, places[0], len(places)


class _Span(NamedTuple):
    """``length`` bytes from ``start`` of the disk on hold ``what``, from its byte ``inside`` on."""

    start: int
    length: int
    what: str
    inside: int


def _owner(spans: Sequence[_Span], starts: Sequence[int], offset: int) -> Tuple[str, int]:
    number = bisect_right(starts, offset) - 1
    if number >= 0 and offset < spans[number].start + spans[number].length:
        return spans[number].what, offset - spans[number].start + spans[number].inside
    return METADATA, 0


def _spans(reader: Ext4Reader) -> Iterator[_Span]:
    """Yield where things lie on the disk. What they leave out is the file system's metadata."""
    parts = gpt.read_table(reader.at(0, _HEAD))
    yield _Span(0, min(part.start for part in parts), TABLE, 0)
    yield _Span(max(part.start + part.size for part in parts), 1 << 60, TABLE, 0)
    for part in parts:
        if part.type not in gpt.ROOT_TYPES.values():
            yield _Span(part.start, part.size, BOOT, 0)
    tables = list(reader.inode_tables())
    seen = set()
    for path, number in reader.numbers().items():
        if number not in seen:
            seen.add(number)
            first, start, _ = tables[(number - 1) // (tables[0][2] // INODE_SIZE)]
            yield _Span(start + (number - first) * INODE_SIZE, INODE_SIZE, f"{INODE}{path}", 0)
            for extent in reader.extents_of(number):
                at = reader.start + extent.physical * BLOCK
                yield _Span(at, extent.length * BLOCK, path, extent.logical * BLOCK)
