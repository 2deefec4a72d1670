"""What the disk writer takes and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingot.blocks import BLOCK_SIZE
from ingot.errors import BakeError

SECTOR = 512
# architecture of the recipe -> the name of the fallback boot file (UEFI specification, 3.5.1.1)
BOOT_FILES = {"x86_64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI"}


@dataclass(frozen=True)
class DiskSpec:
    """What a disk is to become.

    ``name`` is the recipe's; all identifiers of the disk derive from it. ``size`` is the whole disk in bytes,
    a multiple of 512 KiB. ``epoch`` is Unix seconds: the only time on the disk. ``modules`` is
    ``lib/modules/<kernel version>`` of the tree; ``command_line`` is the kernel's, without ``root=``.

    ``bios``: whether it boots by BIOS as well as by UEFI, with the drivers of Xen's disks and networks.
    """

    name: str
    size: int
    epoch: int
    architecture: str
    kernel: Path
    modules: Path
    stub: Path
    busybox: Path
    command_line: str
    os_release: str
    bios: bool = False

    def __post_init__(self) -> None:
        if self.architecture not in BOOT_FILES:
            raise BakeError(f"unknown architecture {self.architecture!r}; known are {', '.join(BOOT_FILES)}")
        if self.bios and self.architecture != "x86_64":
            raise BakeError(f"a disk for {self.architecture} boots by UEFI alone, not by BIOS")
        if self.size % BLOCK_SIZE:
            raise BakeError(f"a size of {self.size} bytes is not a multiple of {BLOCK_SIZE} (512 KiB)")

    @property
    def kernel_version(self) -> str:
        """The kernel's version, as ``uname -r`` gives it."""
        return self.modules.name
