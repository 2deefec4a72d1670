"""Which parts of a file hold data.

Long runs of zeros become holes whatever the builder's file system made of them.

So a disk depends on contents alone. Small files are taken as they are: a hole in them saves nothing.
"""

from __future__ import annotations

import os
from typing import Callable, Iterator, List, Tuple

from ingot.bake.disk.ext4.extents import MOST_EXTENTS
from ingot.bake.disk.ext4.geometry import BLOCK
from ingot.bake.tree.tree import Entry, encode
from ingot.errors import BakeError

_GRANULE = 64 * 1024
_SMALLEST = 2 * _GRANULE
_PROBE = 64


def data_runs(entry: Entry) -> List[Tuple[int, int]]:
    """Return (first block, blocks) of each run of data in a file, in blocks of 4 KiB.

    Raises BakeError when it cannot be read.
    """
    total = -(-entry.size // BLOCK)
    if entry.size < _SMALLEST:
        return [(0, total)]
    if entry.data is not None:
        content = entry.data
        return _join(_granules(entry.size, lambda size, at: content[at : at + size], lambda at: at), total)
    if entry.source is None:
        raise BakeError(f"{entry.path}: a file without a content")
    try:
        file = os.open(encode(entry.source), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BakeError(f"{entry.source} cannot be read: {error.strerror}") from error
    try:
        size = entry.size
        return _join(
            _granules(size, lambda n, at: os.pread(file, n, at), lambda at: _skip_hole(file, at, size)), total
        )
    finally:
        os.close(file)


def _skip_hole(file: int, at: int, size: int) -> int:
    try:
        return os.lseek(file, at, os.SEEK_DATA)
    except OSError:  # ENXIO: no data follows; any other failure shows when the data is read
        return size


def _granules(size: int, read: Callable[[int, int], bytes], skip: Callable[[int], int]) -> Iterator[int]:
    """Yield the offsets of the pieces of 64 KiB that hold data."""
    zeros = bytes(_GRANULE)
    at = 0
    while at < size:
        if read(_PROBE, at).strip(b"\0"):
            yield at
        else:
            data = skip(at)
            if data >= at + _GRANULE:
                at = data // _GRANULE * _GRANULE
                continue
            piece = read(_GRANULE, at)
            if piece != zeros[: len(piece)]:
                yield at
        at += _GRANULE


def _join(offsets: Iterator[int], total: int) -> List[Tuple[int, int]]:
    blocks = _GRANULE // BLOCK
    spans: List[List[int]] = []
    for offset in offsets:
        first = offset // BLOCK
        if spans and spans[-1][1] == first:
            spans[-1][1] = first + blocks
        else:
            spans.append([first, first + blocks])
    # A file that is torn in more pieces than its tree can name gets its smallest holes filled; placement may
    # tear it a bit more.
    while len(spans) > MOST_EXTENTS // 2:
        pairs = zip(spans, spans[1:])  # noqa: B905, RUF007 - Python 3.9
        smallest = min(right[0] - left[1] for left, right in pairs)
        joined = [spans[0]]
        for span in spans[1:]:
            if span[0] - joined[-1][1] <= smallest:
                joined[-1][1] = span[1]
            else:
                joined.append(span)
        spans = joined
    return [(first, min(end, total) - first) for first, end in spans]
