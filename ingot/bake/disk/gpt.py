"""The partition table: a protective MBR and two GUID partition tables (UEFI specification, chapter 5)."""

from __future__ import annotations

import codecs
import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import List, Sequence

from ingot.bake.disk.image import DiskLayout
from ingot.bake.disk.spec import SECTOR
from ingot.errors import BakeError

ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
# Discoverable Partitions Specification: root partition by architecture.
ROOT_TYPES = {
    "x86_64": uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    "arm64": uuid.UUID("b921b045-1df0-41c3-af44-4c6f280d3fae"),
}
ENTRIES = 128
ENTRY_SIZE = 128
_TABLE_SECTORS = ENTRIES * ENTRY_SIZE // SECTOR
_HEADER_SIZE = 92
_BOOT_CODE = 440  # bytes; a disk signature follows, which GPT leaves zero
# Of the partitions' names. Looked up now: later, a process in the image's root may import nothing.
_NAMES = codecs.lookup("utf-16-le").name


@dataclass(frozen=True)
class Partition:
    """A partition: ``start`` and ``size`` in bytes, ``name`` of at most 36 characters."""

    type: uuid.UUID
    id: uuid.UUID
    start: int
    size: int
    name: str

    def entry(self) -> bytes:
        """Return the table entry."""
        first = self.start // SECTOR
        last = first + self.size // SECTOR - 1
        name = self.name.encode(_NAMES).ljust(72, b"\0")
        return self.type.bytes_le + self.id.bytes_le + struct.pack("<QQQ", first, last, 0) + name


def write_table(
    image: DiskLayout, disk_id: uuid.UUID, partitions: Sequence[Partition], boot_code: bytes = b""
) -> None:
    """Put the protective MBR and both tables on the disk; ``boot_code`` is what a BIOS starts."""
    sectors = image.size // SECTOR
    table = b"".join(partition.entry() for partition in partitions).ljust(ENTRIES * ENTRY_SIZE, b"\0")
    primary = _header(disk_id, sectors, own=1, other=sectors - 1, table_at=2, table=table)
    backup = _header(
        disk_id, sectors, own=sectors - 1, other=1, table_at=sectors - 1 - _TABLE_SECTORS, table=table
    )
    image.put(0, _protective_mbr(sectors, boot_code) + primary.ljust(SECTOR, b"\0") + table)
    image.put((sectors - 1 - _TABLE_SECTORS) * SECTOR, table + backup)


def _protective_mbr(sectors: int, boot_code: bytes) -> bytes:
    # One partition of type 0xEE from sector 1 to the end, as far as 32 bits can say; CHS fields as the
    # specification wants them.
    entry = struct.pack(
        "<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF)
    )
    if len(boot_code) > _BOOT_CODE:
        raise BakeError(f"boot code of {len(boot_code)} bytes: the first sector has room for {_BOOT_CODE}")
    return boot_code.ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa"


def _header(disk_id: uuid.UUID, sectors: int, *, own: int, other: int, table_at: int, table: bytes) -> bytes:
    first_usable, last_usable = 2 + _TABLE_SECTORS, sectors - 2 - _TABLE_SECTORS

    def fields(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART", 0x00010000, _HEADER_SIZE, checksum, 0, own, other, first_usable, last_usable,
            disk_id.bytes_le, table_at, ENTRIES, ENTRY_SIZE, zlib.crc32(table),
        )  # fmt: skip

    return fields(zlib.crc32(fields(0)))


def read_table(head: bytes) -> List[Partition]:
    """Return the partitions of a disk whose first 17 KiB are ``head``."""
    found = []
    for index in range(ENTRIES):
        entry = head[2 * SECTOR + index * ENTRY_SIZE :][:ENTRY_SIZE]
        if entry[:16].strip(b"\0"):
            first, last = struct.unpack_from("<QQ", entry, 32)
            name = entry[56:].decode(_NAMES).rstrip("\0")
            kind, own = uuid.UUID(bytes_le=entry[:16]), uuid.UUID(bytes_le=entry[16:32])
            found.append(Partition(kind, own, first * SECTOR, (last + 1 - first) * SECTOR, name))
    return found
