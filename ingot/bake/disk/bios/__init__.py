"""Booting by BIOS, beside UEFI: for EC2's types of before Nitro, whose disks and networks are Xen's.

One disk has both ways: a loader in the first sector finds Linux and the initial RAM disk inside the unified
kernel image that UEFI starts. Nothing is on the disk twice but Linux's real-mode code, of 20 KiB.
"""

from ingot.bake.disk.bios.area import START, BootCode, boot_code, partition

__all__ = ["START", "BootCode", "boot_code", "partition"]
