"""What the loader needs on the disk: its table, and Linux's real-mode code with all that a loader tells it.

Sources: Linux's Documentation/arch/x86/boot.rst for the header's fields and the places in memory; the GUID
of the partition is the one that GRUB and systemd know (systemd's gpt.h).
"""

from __future__ import annotations

import struct
import uuid
from typing import List, NamedTuple, Tuple

from ingot.bake.disk import gpt, uki
from ingot.bake.disk.bios.loader import LOADER, RUNS
from ingot.bake.disk.identity import identifier
from ingot.bake.disk.spec import SECTOR
from ingot.errors import BakeError
from ingot.quantities import MIB

BIOS_BOOT_TYPE = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
# Between the partition table and the boot partition, so that nothing moves: sectors 34 to 2047.
START = 34 * SECTOR
SIZE = MIB - START

# Where things come to lie in memory. The loader has the first as REAL_MODE and STACK.
_REAL_MODE = 0x10000
_STACK = 0xE000  # from there: Linux's real-mode code is below, its stack and heap between
_COMMAND_LINE = _REAL_MODE + _STACK
_KERNEL = 0x100000
# Beyond what Linux needs before it has looked at its memory. A machine of 256 MiB has room for the RAM disk.
_RAM_DISK = 128 * MIB
# The oldest version of the protocol in whose header Linux says how much memory it needs: 2.10, Linux 2.6.31.
_PROTOCOL = 0x20A


class BootCode(NamedTuple):
    """What of the BIOS's way is on the disk: the code in the first sector, and the bytes at START."""

    first_sector: bytes
    area: bytes


class _SectorRun(NamedTuple):
    """Consecutive bytes of the disk, from the start of a sector on, and where they go in memory."""

    start: int
    size: int
    memory: int

    def entry(self) -> bytes:
        return struct.pack("<III", self.start // SECTOR, -(-self.size // SECTOR), self.memory)


def partition(name: str) -> gpt.Partition:
    """Return the partition that keeps other programs from using the room, for the recipe ``name``."""
    return gpt.Partition(BIOS_BOOT_TYPE, identifier(name, "BIOS boot partition"), START, SIZE, "ingot-bios")


def boot_code(boot_image: bytes, offset: int) -> BootCode:
    """Return what starts the unified kernel image ``boot_image``, which is at ``offset`` of the disk.

    Raises BakeError when its kernel cannot be started so.
    """
    parts = {name: (at, size) for name, at, size in uki.find_sections(boot_image)}
    kernel_at, kernel_size = parts[".linux"]
    ram_disk_at, ram_disk_size = parts[".initrd"]
    command_at, command_size = parts[".cmdline"]
    kernel = boot_image[kernel_at : kernel_at + kernel_size]
    setup = _real_mode(kernel, ram_disk_size)
    area = setup.ljust(_STACK, b"\0") + boot_image[command_at : command_at + command_size]
    runs = [
        _SectorRun(START, len(area), _REAL_MODE),
        _SectorRun(offset + kernel_at + len(setup), len(kernel) - len(setup), _KERNEL),
        _SectorRun(offset + ram_disk_at, ram_disk_size, _RAM_DISK),
    ]
    if len(runs) != RUNS or any(run.start % SECTOR for run in runs):
        raise BakeError("the EFI stub does not align its sections to sectors: a BIOS cannot read them")
    return BootCode(LOADER + b"".join(run.entry() for run in runs), area)


def _real_mode(kernel: bytes, ram_disk_size: int) -> bytes:
    """Return Linux's real-mode code, its header filled in as the loader of a "bzImage" does."""
    if kernel[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", kernel, 0x206)[0] < _PROTOCOL:
        raise BakeError("the kernel is no bzImage: a BIOS cannot start it")
    preferred, needed = struct.unpack_from("<QI", kernel, 0x258)
    if preferred + needed > _RAM_DISK:
        raise BakeError(
            f"the kernel needs the memory up to {preferred + needed:#x} while it starts; a BIOS has the RAM"
            f" disk at {_RAM_DISK:#x}"
        )
    setup = bytearray(kernel[: (kernel[0x1F1] + 1) * SECTOR])
    fields: List[Tuple[str, int, int]] = [
        ("<H", 0x1FA, 0xFFFF),  # vid_mode: as it is
        ("<B", 0x210, 0xFF),  # type_of_loader: one without a number
        ("<B", 0x211, setup[0x211] | 0x80),  # loadflags: the heap's end is told
        ("<I", 0x218, _RAM_DISK),
        ("<I", 0x21C, ram_disk_size),
        ("<H", 0x224, _STACK - 0x200),  # heap_end_ptr
        ("<I", 0x228, _COMMAND_LINE),
    ]
    for kind, at, value in fields:
        struct.pack_into(kind, setup, at, value)
    return bytes(setup)
