"""What blocks of a disk hold, for messages that name blocks which are not as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ingot.bake.disk.differences import things_in
from ingot.errors import BakeError
from ingot.quantities import number

# How many blocks, and files of each, a message names.
NAMED = 10
# Gives paths of files, and words for what is no file, by the index of each block.
Contents = Callable[[Sequence[int]], Mapping[int, Sequence[str]]]


def unknown(_blocks: Sequence[int]) -> Mapping[int, Sequence[str]]:
    """Return nothing: there is no disk to look at."""
    return {}


def contents_of(disk: Path) -> Contents:
    """Return what tells the contents of the blocks of a raw disk.

    It tells nothing where the file system's own records are among what is damaged.
    """

    def tell(blocks: Sequence[int]) -> Mapping[int, Sequence[str]]:
        try:
            return things_in(disk, blocks)
        except BakeError:
            return {}

    return tell


def in_it(things: Sequence[str]) -> str:
    """Return `; in it: /srv/one, /srv/two`; "" when nothing is known."""
    left = len(things) - NAMED
    more = f" and {number(left, 'other file')}" if left > 0 else ""
    return f"; in it: {', '.join(things[:NAMED])}{more}" if things else ""


def block_lines(blocks: Sequence[int], contents: Contents) -> Iterator[str]:
    """Give a line for each of the first blocks with what is in it, and one for the rest."""
    held = contents(blocks[:NAMED])
    for index in blocks[:NAMED]:
        yield f"block {index}{in_it(held.get(index, ()))}"
    if len(blocks) > NAMED:
        yield f"and {number(len(blocks) - NAMED, 'other block')}"
