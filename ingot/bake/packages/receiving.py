"""Receiving a file: hashed as it comes, and not for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Callable, NamedTuple, Optional

from ingot.bake.packages.cache import PIECE
from ingot.retry import now

if TYPE_CHECKING:
    import http.client

# A server that sends a byte now and then would hold a bake for ever: a file has this long, and its size at
# this rate on top.
PATIENCE = 60.0  # seconds
SLOWEST = 32 * 1024  # bytes in a second: a quarter of a 1 Mbit/s line


class Received(NamedTuple):
    """What came: how many bytes, and their SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Body:
    """The body of an answer: ``read`` returns at most so many bytes, none at its end. ``announced``: how many
    bytes the server says that it has; None when it does not say.
    """

    read: Callable[[int], bytes]
    announced: Optional[int]

    @classmethod
    def of(cls, answer: http.client.HTTPResponse) -> Body:
        """Return the body of an answer to HTTP."""
        announced = answer.headers.get("Content-Length", "")
        # read1: whatever has come. read would wait for a whole piece, however slowly it comes.
        return cls(answer.read1, int(announced) if announced.isdigit() else None)

    def receive(self, file: BinaryIO, limit: int, arrived: Callable[[int], None]) -> Received:
        """Write it to ``file``, at most a piece more than ``limit`` bytes, and call ``arrived`` with the size
        of each piece.

        Raises ConnectionError when it ends before the length that was announced, TimeoutError when it comes
        too slowly.
        """
        digest, size, start = hashlib.sha256(), 0, now()
        for piece in iter(lambda: self.read(PIECE), b""):
            arrived(len(piece))
            size += len(piece)
            digest.update(piece)
            file.write(piece)
            seconds = now() - start
            if seconds > PATIENCE + size / SLOWEST:
                whole = "" if self.announced is None else f" of {self.announced}"
                raise TimeoutError(f"too slow: {size}{whole} bytes in {seconds:.0f} s")
            if size > limit:
                return Received(size, digest.hexdigest())
        if self.announced is not None and size < self.announced:
            raise ConnectionError(f"the answer ended after {size} of {self.announced} bytes")
        return Received(size, digest.hexdigest())
