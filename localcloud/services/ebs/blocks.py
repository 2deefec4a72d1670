"""Blocks on disk: one file for each block that was put, ``<cloud>/ebs/blocks/<aa>/<id>``.

A file is never shared between two puts, even when the bytes are equal: a bit that flips in one stored block
reaches the snapshots that hold this block and no others, as it would on a real volume. Snapshots share a file
only by lineage.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from ingot.files import write_atomically


class BlockFiles:
    """The directory of block files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, block_id: str) -> Path:
        """Return where a block is."""
        return self.directory / block_id[:2] / block_id

    def put(self, data: bytes) -> str:
        """Write one block whole or not at all and return its id."""
        block_id = uuid.uuid4().hex
        write_atomically(self.path(block_id), data)
        return block_id

    def copy(self, block_id: str) -> str:
        """Copy a block into a file of its own and return its id."""
        copy_id = uuid.uuid4().hex
        target = self.path(copy_id)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(self.path(block_id), target)
        return copy_id

    def get(self, block_id: str) -> bytes:
        """Return a block's bytes as they are on disk now."""
        return self.path(block_id).read_bytes()

    def remove(self, block_id: str) -> None:
        """Delete a block."""
        self.path(block_id).unlink(missing_ok=True)
