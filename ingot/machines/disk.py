"""Root disks: a copy-on-write overlay on a base that is put together from a snapshot's blocks."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ingot.blocks import BLOCK_SIZE
from ingot.files import replacing
from ingot.machines.qemu import DISK
from ingot.process import require, run

Blocks = Callable[[str], tuple[int, Mapping[int, Path]]]  # snapshot id -> (volume size, block index -> file)


class BaseDisks:
    """Raw base disks in a directory, one for each state of a snapshot's blocks."""

    def __init__(self, directory: Path, blocks_of: Blocks) -> None:
        self.directory = directory
        self._blocks_of = blocks_of
        self._lock = threading.Lock()

    def base(self, snapshot_id: str) -> Path:
        """Return the disk of a snapshot, put together from its stored blocks unless these are as they were.

        The name of the file tells the identity, size and times of every block's file: a block that was
        written to, by whomever, gives another disk. Raises CloudError for a snapshot that is not there,
        OSError when the disk is full.
        """
        size, blocks = self._blocks_of(snapshot_id)
        path = self.directory / f"{snapshot_id}-{_state(size, blocks)}.raw"
        with self._lock:
            if not path.exists():
                self.directory.mkdir(parents=True, exist_ok=True)
                _assemble(path, size, blocks)
        return path

    def clear(self) -> None:
        """Remove all bases."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _state(size: int, blocks: Mapping[int, Path]) -> str:
    digest = hashlib.sha256(str(size).encode())
    for index in sorted(blocks):
        stat = blocks[index].stat()
        digest.update(
            f"\n{index} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}".encode()
        )
    return digest.hexdigest()[:24]


def _assemble(path: Path, size: int, blocks: Mapping[int, Path]) -> None:
    """Write a sparse disk: what no block covers reads as zeros."""
    with replacing(path) as unfinished, unfinished.open("wb") as disk:
        disk.truncate(size)
        for index in sorted(blocks):
            with blocks[index].open("rb") as block:
                _copy(block.fileno(), disk.fileno(), index * BLOCK_SIZE)


def _copy(source: int, target: int, offset: int) -> None:
    """Copy one block's file within the kernel; on file systems that can, the two share the bytes."""
    position, left = 0, os.fstat(source).st_size
    while left > 0:
        try:
            copied = os.copy_file_range(source, target, left, position, offset + position)
        except OSError:  # the two lie on different file systems
            data = os.pread(source, left, position)
            copied = os.pwrite(target, data, offset + position)
        if copied == 0:
            break
        position, left = position + copied, left - copied


def create_overlay(base: Path, overlay: Path, size: int) -> None:
    """Create a copy-on-write disk of ``size`` bytes on ``base``, which stays as it is."""
    qemu_img = require("qemu-img", needed_for="create disks of machines")
    run([qemu_img, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base.absolute(), overlay, str(size)])


def create_blank(disk: Path, size: int) -> None:
    """Create a disk of ``size`` bytes that reads as zeros."""
    run(
        [
            require("qemu-img", needed_for="create disks of machines"),
            "create",
            "-q",
            "-f",
            "qcow2",
            disk,
            str(size),
        ]
    )


def enlarge(disk: Path, size: int) -> None:
    """Make the disk of a machine that is off larger: ``size`` bytes."""
    run(
        [
            require("qemu-img", needed_for="resize disks of machines"),
            "resize",
            "-q",
            "-f",
            "qcow2",
            disk,
            str(size),
        ]
    )


def copied_disk(directory: Path) -> Path:
    """Write the disk of a machine that is off as a sparse raw file beside it, and return the file."""
    qemu_img = require("qemu-img", needed_for="copy disks of machines")
    copy = directory / "copy.raw"
    run([qemu_img, "convert", "-q", "-O", "raw", directory / DISK, copy])
    return copy
