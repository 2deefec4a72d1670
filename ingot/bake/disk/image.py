"""The disk as a set of pieces, assembled block by block: read, hashed and written in one pass, by all cores.

Every piece is bytes in memory or a range of a file. What no piece covers is zero and stays a hole in the
output.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type, Union

from ingot.blocks import BLOCK_SIZE, DiskDigest, block_digest, root_digest
from ingot.errors import BakeError

# How many blocks a thread takes at once: a few, so that all cores end at the same time; not one, for a file
# often spans several.
BLOCKS_PER_TASK = 8


class Piece(NamedTuple):
    """``length`` bytes at ``offset`` of the disk: from ``start`` on in a file (bytes path), or from ``start``
    on in memory; zeros without a content.
    """

    offset: int
    length: int
    content: Union[bytes, bytearray]
    start: int = 0
    is_file: bool = False


class WrittenDisk(NamedTuple):
    """A disk that was written: its file, and the digests of its blocks."""

    file: Path
    blocks: Sequence[Optional[str]]


class DiskLayout:
    """The pieces of a disk of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pieces: List[Piece] = []

    def put(self, offset: int, data: Union[bytes, bytearray]) -> None:
        """Place bytes at ``offset``. ``data`` may still change until the image is written."""
        if data:
            self._pieces.append(Piece(offset, len(data), data))

    def put_file(self, offset: int, length: int, path: bytes, start: int) -> None:
        """Place ``length`` bytes of the file ``path``, from ``start`` on, at ``offset``."""
        self._pieces.append(Piece(offset, length, path, start, True))

    def put_zeros(self, offset: int, length: int) -> None:
        """Place ``length`` zeros at ``offset``: what an update erases."""
        self._pieces.append(Piece(offset, length, b"", 0, False))

    def write(self, output: Path, copy: Optional[Path] = None) -> DiskDigest:
        """Write the disk to ``output``, and the same to ``copy``; return its digests.

        Removes what it wrote, and raises BakeError, when it cannot.
        """
        outputs = [output] if copy is None else [output, copy]
        return self._finish(outputs, [None] * (self.size // BLOCK_SIZE), None)

    def update(self, output: Path, lower: WrittenDisk) -> DiskDigest:
        """Write the pieces over ``output``, a copy of the disk ``lower``; return the new digests.

        Removes ``output``, and raises BakeError, when it cannot.
        """
        return self._finish([output], list(lower.blocks), lower.file)

    def _finish(
        self, outputs: Sequence[Path], blocks: List[Optional[str]], lower: Optional[Path]
    ) -> DiskDigest:
        pieces = sorted(self._pieces, key=lambda piece: piece.offset)
        for left, right in zip(pieces, pieces[1:]):  # noqa: B905, RUF007 - Python 3.9 has no pairwise
            if left.offset + left.length > right.offset:
                raise BakeError(
                    f"two parts of the disk overlap at byte {right.offset}: this is a defect of Ingot"
                )
        try:
            self._write_to(outputs, pieces, blocks, lower)
        except OSError as error:
            hint = "free some space" if error.errno == errno.ENOSPC else None
            raise BakeError(f"{outputs[0]} cannot be written: {error.strerror}", hint=hint) from error
        used = sum(block is not None for block in blocks) * BLOCK_SIZE
        return DiskDigest(self.size, used, tuple(blocks), root_digest(tuple(blocks)))

    def _write_to(
        self,
        outputs: Sequence[Path],
        pieces: List[Piece],
        blocks: List[Optional[str]],
        lower: Optional[Path],
    ) -> None:
        new = os.O_CREAT | os.O_TRUNC if lower is None else 0
        with ExitStack() as use:
            targets = []
            for output in outputs:
                # It holds files of mode 0600.
                targets.append(os.open(output, os.O_RDWR | os.O_CLOEXEC | new, 0o600))
                use.callback(os.close, targets[-1])
                use.push(partial(_remove_failed, output))
                os.ftruncate(targets[-1], self.size)
            if lower is None:
                _write_blocks(targets, pieces, blocks, None)
            else:
                with lower.open("rb") as file:
                    _write_blocks(targets, pieces, blocks, file.fileno())


def _remove_failed(output: Path, kind: Optional[Type[BaseException]], *_: object) -> None:
    """Remove ``output`` where it was left by an exception: what :meth:`ExitStack.push` calls."""
    if kind is not None:
        output.unlink()


def _write_blocks(
    targets: Sequence[int], pieces: List[Piece], blocks: List[Optional[str]], lower: Optional[int]
) -> None:
    """Write all blocks that the pieces touch, and enter their digests in ``blocks``."""
    assembly = _DiskPieces(targets, pieces, [piece.offset + piece.length for piece in pieces])

    def task(indexes: List[int]) -> None:
        reader = _PieceReader()
        try:
            for index in indexes:
                below = lower if blocks[index] is not None else None
                blocks[index] = assembly.write(index, reader, below)
        finally:
            reader.close()

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for done in [pool.submit(task, indexes) for indexes in _tasks(pieces)]:
            done.result()


def _tasks(pieces: List[Piece]) -> Iterator[List[int]]:
    """Yield the indexes of the blocks that some piece touches, a few at a time."""
    indexes: List[int] = []
    following = 0
    for piece in pieces:
        last = (piece.offset + piece.length - 1) // BLOCK_SIZE
        for index in range(max(following, piece.offset // BLOCK_SIZE), last + 1):
            indexes.append(index)
            if len(indexes) == BLOCKS_PER_TASK:
                yield indexes
                indexes = []
        following = max(following, last + 1)
    if indexes:
        yield indexes


class _PieceReader:
    """Reads from files, keeping the last one open: neighbouring blocks are mostly of one file."""

    def __init__(self) -> None:
        self._path: Optional[bytes] = None
        self._file = -1

    def read_into(self, view: memoryview, path: bytes, offset: int) -> None:
        try:
            if path != self._path:
                self.close()
                self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._path = path
            length = os.preadv(self._file, [view], offset)
        except OSError as error:
            raise BakeError(f"{os.fsdecode(path)} cannot be read: {error.strerror}") from error
        if length != len(view):
            raise BakeError(f"{os.fsdecode(path)} became shorter while the disk was written")

    def close(self) -> None:
        if self._path is not None:
            os.close(self._file)
            self._path = None


class _DiskPieces(NamedTuple):
    """The disks ``targets``, all alike, and the pieces that they are put together from, sorted, with their
    ends.
    """

    targets: Sequence[int]
    pieces: List[Piece]
    ends: List[int]

    def write(self, index: int, reader: _PieceReader, lower: Optional[int]) -> Optional[str]:
        """Put a block together, write it, return its digest.

        ``lower``: the disk whose block it changes, None when that is zero.
        """
        base = index * BLOCK_SIZE
        block = bytearray(BLOCK_SIZE)
        view = memoryview(block)
        if lower is not None:
            os.preadv(lower, [view], base)
        self._fill(view, base, reader)
        digest = block_digest(block)
        if digest is None and lower is None:
            return None
        for target in self.targets:
            written = 0
            while written < BLOCK_SIZE:  # a disk that is nearly full takes a part, and says so the next time
                done = os.pwrite(target, view[written:], base + written)
                if done == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += done
        return digest

    def _fill(self, view: memoryview, base: int, reader: _PieceReader) -> None:
        """Put on the block that starts at ``base`` what the pieces have for it."""
        pieces = self.pieces
        number = bisect_right(self.ends, base)
        while number < len(pieces) and pieces[number].offset < base + BLOCK_SIZE:
            start, stop, piece_start = _overlap(pieces[number], base)
            piece = pieces[number]
            if piece.is_file:
                reader.read_into(view[start:stop], bytes(piece.content), piece_start)
            elif not piece.content:
                view[start:stop] = bytes(stop - start)
            else:
                view[start:stop] = memoryview(piece.content)[piece_start : piece_start + stop - start]
            number += 1


def _overlap(piece: Piece, base: int) -> Tuple[int, int, int]:
    """Return where a piece starts and stops in the block at ``base``, and where in its content that is."""
    start = max(piece.offset, base)
    stop = min(piece.offset + piece.length, base + BLOCK_SIZE)
    return start - base, stop - base, piece.start + start - piece.offset
