"""The EFI system partition: a FAT32 file system with one file, ``EFI/BOOT/BOOTX64.EFI``.

Format: Microsoft's "FAT32 File System Specification", version 1.03. That path is the fallback that firmware
takes without a boot entry, which a fresh machine has none of (UEFI specification, 3.5.1.1).
"""

from __future__ import annotations

import struct
import time
from array import array
from typing import NamedTuple, Tuple

from ingot.bake.disk.image import DiskLayout
from ingot.bake.disk.spec import SECTOR
from ingot.errors import BakeError
from ingot.quantities import MIB

_RESERVED = 32  # sectors before the first table: the usual figure
_FATS = 2
_END = 0x0FFFFFFF
_MEDIA = 0xF8
_FAT32_CLUSTERS = 65525  # fewer clusters would make it FAT16
_DIRECTORY, _ARCHIVE, _LABEL = 0x10, 0x20, 0x08
# Room that a boot partition has beyond the file, for a machine's owner.
_SPARE = 16 * MIB
_SMALLEST = 64 * MIB


def partition_size(file_size: int) -> int:
    """Return the size in bytes of a partition that holds a file of ``file_size`` bytes: whole MiB."""
    return max(_SMALLEST, -(-(file_size + _SPARE) // MIB) * MIB)


class BootFile(NamedTuple):
    """The one file, ``EFI/BOOT/<name>``, whose name has 8 + 3 characters at most."""

    name: str
    content: bytes


def write_esp(image: DiskLayout, span: Tuple[int, int], file: BootFile, *, volume_id: int, epoch: int) -> int:
    """Put the file system with ``file`` on the disk; return where the file's content starts, in one piece.

    ``span``: where the file system starts, and its size in bytes.
    """
    start, size = span
    name, content = file
    sectors = size // SECTOR
    # One sector per cluster; each table has 4 bytes for every cluster and for two more:
    # (sectors - reserved - 2 f + 2) * 4 <= 512 f, solved for f.
    fat_sectors = -(-(sectors - _RESERVED + 2) * 4 // (SECTOR + 4 * _FATS))
    clusters = sectors - _RESERVED - _FATS * fat_sectors
    needed = 3 + -(-len(content) // SECTOR)
    if clusters < _FAT32_CLUSTERS or needed > clusters:
        raise BakeError(f"the boot partition of {size} bytes cannot hold {name} of {len(content)} bytes")
    boot = _boot_sector(sectors, fat_sectors, volume_id, start)
    info = _info_sector(clusters - needed, 2 + needed)
    image.put(start, boot + info)
    image.put(start + 6 * SECTOR, boot + info)
    table = _table(needed)
    for copy in range(_FATS):
        image.put(start + (_RESERVED + copy * fat_sectors) * SECTOR, table)
    data = start + (_RESERVED + _FATS * fat_sectors) * SECTOR
    stamp = _stamp(epoch)
    root = _entry(b"INGOT-EFI  ", _LABEL, 0, 0, stamp) + _entry(b"EFI        ", _DIRECTORY, 3, 0, stamp)
    efi = _dots(3, 0, stamp) + _entry(b"BOOT       ", _DIRECTORY, 4, 0, stamp)
    boot_directory = _dots(4, 3, stamp) + _entry(_short(name), _ARCHIVE, 5, len(content), stamp)
    image.put(
        data, root.ljust(SECTOR, b"\0") + efi.ljust(SECTOR, b"\0") + boot_directory.ljust(SECTOR, b"\0")
    )
    image.put(data + 3 * SECTOR, content)
    return data + 3 * SECTOR


def _boot_sector(sectors: int, fat_sectors: int, volume_id: int, start: int) -> bytes:
    head = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\x58\x90",
        b"INGOT   ",
        SECTOR,
        1,
        _RESERVED,
        _FATS,
        0,
        0,
        _MEDIA,
        0,
        63,
        255,
        start // SECTOR,
        sectors,
    )
    # tables mirrored, version 0.0, root directory in cluster 2, information in sector 1, backup in sector 6
    tail = struct.pack(
        "<IHHIHH12sBBBI11s8s",
        fat_sectors, 0, 0, 2, 1, 6, b"", 0x80, 0, 0x29, volume_id, b"INGOT-EFI  ", b"FAT32   ",
    )  # fmt: skip
    # Boot code for firmware that tries: an endless loop at the jump's target.
    return (head + tail + b"\xeb\xfe").ljust(510, b"\0") + b"\x55\xaa"


def _info_sector(free: int, following: int) -> bytes:
    return struct.pack("<I480xIII12xI", 0x41615252, 0x61417272, free, following, 0xAA550000)


def _table(used: int) -> bytes:
    """Return the allocation table: clusters 2, 3, 4 are the directories, one file follows."""
    chain = array("I", range(1, used + 3))
    chain[0], chain[1] = 0x0FFFFF00 | _MEDIA, _END
    chain[2] = chain[3] = chain[4] = chain[used + 1] = _END
    del chain[used + 2 :]
    return struct.pack(f"<{len(chain)}I", *chain)


def _stamp(epoch: int) -> Tuple[int, int]:
    moment = time.gmtime(max(epoch, 315532800))  # FAT begins in 1980
    return (moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2), (
        (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    )


def _entry(name: bytes, kind: int, cluster: int, size: int, stamp: Tuple[int, int]) -> bytes:
    clock, day = stamp
    return struct.pack(
        "<11sBBBHHHHHHHI",
        name, kind, 0, 0, clock, day, day, cluster >> 16, clock, day, cluster & 0xFFFF, size,
    )  # fmt: skip


def _dots(own: int, parent: int, stamp: Tuple[int, int]) -> bytes:
    here = _entry(b".          ", _DIRECTORY, own, 0, stamp)
    return here + _entry(b"..         ", _DIRECTORY, parent, 0, stamp)


def _short(name: str) -> bytes:
    stem, _, suffix = name.partition(".")
    return stem.ljust(8).encode("ascii") + suffix.ljust(3).encode("ascii")
