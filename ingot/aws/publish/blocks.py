"""The blocks of a disk image, as its manifest lists them and as they are read from the disk."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.blocks import BLOCK_SIZE, ZERO_BLOCK, ZERO_DIGEST, block_count, changed, read_block, root_digest
from ingot.errors import PublishError
from ingot.quantities import GIB


@dataclass(frozen=True)
class BlockMap:
    """The blocks of a disk of ``size`` bytes: the SHA-256 (hex) of each in order, None for zeros."""

    size: int
    digests: tuple[str | None, ...]
    root_digest: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> BlockMap:
        """Read a manifest's ``disk`` section; raise PublishError when it contradicts itself."""
        disk = manifest["disk"]
        blocks = cls(int(disk["size"]), tuple(disk["blocks"]), str(disk["root_digest"]))
        if disk["block_size"] != BLOCK_SIZE or len(blocks.digests) != block_count(blocks.size):
            raise PublishError(
                f"the manifest lists {len(blocks.digests)} blocks of {disk['block_size']} bytes for a disk of"
                f" {blocks.size} bytes, which has {block_count(blocks.size)} of {BLOCK_SIZE}"
            )
        if root_digest(blocks.digests) != blocks.root_digest:
            raise PublishError(
                "the manifest's root digest is not that of its blocks: the manifest was changed"
            )
        return blocks

    @property
    def gib(self) -> int:
        """The size of the volume in GiB, rounded up."""
        return max(1, -(-self.size // GIB))

    def digest(self, index: int) -> str:
        """Return the digest of a block, zeros or not."""
        return self.digests[index] or ZERO_DIGEST

    def changed_since(self, parent: BlockMap) -> list[int]:
        """Return the indexes of the blocks that differ from the parent's, newly zeroed ones included."""
        return changed(self.digests, parent.digests)

    @classmethod
    def empty(cls, size: int) -> BlockMap:
        """Return the blocks of a disk of ``size`` bytes that is not baked yet; it has no root digest."""
        return cls(size, (None,) * block_count(size), "")


def disk_size(head: bytes) -> int | None:
    """Return where the partition table ends, in bytes, by the first KiB of a disk; None without a table.

    A volume has whole GiB, the disk may be smaller (UEFI 2.10, section 5.3.2: GPT header, AlternateLBA).
    """
    if head[512:520] != b"EFI PART":
        return None
    return (int(struct.unpack_from("<Q", head, 512 + 32)[0]) + 1) * 512


class DiskReader:
    """Reads a disk's blocks and holds each against the manifest. Safe to use from several threads."""

    def __init__(self, path: Path, blocks: BlockMap) -> None:
        self._path = path
        self._blocks = blocks
        self._descriptor = os.open(path, os.O_RDONLY)
        size = os.fstat(self._descriptor).st_size
        if size != blocks.size:
            os.close(self._descriptor)
            raise PublishError(
                f"{path} has {size} bytes, its manifest says {blocks.size}", hint="bake the image again"
            )

    def __enter__(self) -> DiskReader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self, index: int) -> tuple[bytes, str]:
        """Return a block, padded with zeros to 512 KiB, and its SHA-256 in hex.

        Raises PublishError when the data is not what the manifest says: the disk was changed after the bake.
        """
        if index >= len(self._blocks.digests):
            return ZERO_BLOCK, ZERO_DIGEST
        data = read_block(self._descriptor, index)
        digest, expected = hashlib.sha256(data).hexdigest(), self._blocks.digest(index)
        if digest != expected:
            raise PublishError(
                f"block {index} of {self._path} has SHA-256 {digest}, its manifest says {expected}: "
                "the disk was changed after the bake",
                hint="remove the image from the store and bake it again",
            )
        return data, digest
