"""The writer of the whole raw disk: GPT, EFI system partition, ext4 root. No root rights, no loop devices, no external tools.

``write_disk(spec: DiskSpec, entries: Sequence[Entry], output: Path, progress: Callable[[str], None]) -> DiskDigest``

Every byte of the disk is a function of the arguments: see docs/decisions/0001-own-disk-writer.md.
"""

from ingot.bake.disk.spec import DiskDigest, DiskSpec

__all__ = ["DiskDigest", "DiskSpec"]
