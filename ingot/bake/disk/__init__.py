"""The writer of the whole raw disk: GPT, EFI system partition, ext4 root.

No root rights, no loop devices, no external tools.

Every byte of the disk is a function of the arguments: see docs/decisions/0001-own-disk-writer.md.
"""

from ingot.bake.disk.ext4.reader import Ext4Reader, read_ext4
from ingot.bake.disk.ext4.update import Lower
from ingot.bake.disk.ext4.writer import Layout, More
from ingot.bake.disk.image import WrittenDisk
from ingot.bake.disk.spec import DiskSpec
from ingot.bake.disk.writer import update_disk, write_disk

__all__ = [
    "DiskSpec",
    "Ext4Reader",
    "Layout",
    "Lower",
    "More",
    "WrittenDisk",
    "read_ext4",
    "update_disk",
    "write_disk",
]
