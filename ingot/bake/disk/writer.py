"""The top function of the disk: boot partition, root file system, partition table, one pass of writing."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence, Tuple

from ingot.bake.disk import bios, gpt
from ingot.bake.disk.ext4.update import Lower, update_ext4
from ingot.bake.disk.ext4.writer import NO_MORE, Layout, More, TooSmallError, write_ext4
from ingot.bake.disk.fat import BootFile, partition_size, write_esp
from ingot.bake.disk.identity import identifier, root_partition, root_partition_name
from ingot.bake.disk.image import DiskLayout, WrittenDisk
from ingot.bake.disk.initrd import build_initrd
from ingot.bake.disk.spec import BOOT_FILES, DiskSpec
from ingot.bake.disk.uki import build_uki
from ingot.bake.tree.tree import Changes, Entry, sort_entries
from ingot.blocks import DiskDigest
from ingot.errors import BakeError, SizeError
from ingot.quantities import MIB, written_size

_ESP_START = MIB  # the usual alignment
_TAIL = MIB  # the backup partition table lies there


def write_disk(
    spec: DiskSpec,
    entries: Sequence[Entry],
    output: Path,
    *,
    more: More = NO_MORE,
    copy: Optional[Path] = None,
) -> Tuple[DiskDigest, Layout]:
    """Write the raw disk that ``spec`` describes, with ``entries`` as its root, to
    ``output``, and the same to ``copy``; return its digests and its layout.

    The bytes depend on ``spec`` and ``entries`` alone, not on the entries' order. Raises BakeError, and
    leaves nothing, when the disk is too small, the tree cannot be stored, or a file cannot be read or
    written.
    """
    kernel_image = boot_image(spec)
    esp_size = partition_size(len(kernel_image))
    root_start = _ESP_START + esp_size
    root_size = spec.size - root_start - _TAIL
    if root_size < 64 * MIB:
        raise _too_small(spec, root_start + 64 * MIB + _TAIL)
    partitions = [
        gpt.Partition(
            gpt.ESP_TYPE, identifier(spec.name, "boot partition"), _ESP_START, esp_size, "ingot-boot"
        ),
        gpt.Partition(
            gpt.ROOT_TYPES[spec.architecture],
            root_partition(spec.name),
            root_start,
            root_size,
            root_partition_name(spec.name),
        ),
    ]
    image = DiskLayout(spec.size)
    volume_id = identifier(spec.name, "boot volume").int & 0xFFFFFFFF
    boot_file = BootFile(BOOT_FILES[spec.architecture], kernel_image)
    kernel_at = write_esp(image, (_ESP_START, esp_size), boot_file, volume_id=volume_id, epoch=spec.epoch)
    first_sector = b""
    if spec.bios:
        first_sector, area = bios.boot_code(kernel_image, kernel_at)
        image.put(bios.START, area)
        partitions.append(bios.partition(spec.name))
    gpt.write_table(image, identifier(spec.name, "disk"), partitions, first_sector)
    try:
        layout = write_ext4(
            image, root_start, root_size, name=spec.name, entries=sort_entries(entries), epoch=spec.epoch,
            more=more,
        )  # fmt: skip
    except TooSmallError as error:
        raise _too_small(spec, root_start + error.needed + _TAIL) from error
    return image.write(output, copy), layout


def update_disk(
    spec: DiskSpec, lower: Lower, written: WrittenDisk, changes: Changes, output: Path
) -> DiskDigest:
    """Turn ``output``, a copy of the ``lower`` layer's disk as it was ``written``, into the image; return its
    digests.

    Only blocks that ``changes`` touch are written. Raises BakeError, and leaves no ``output``, as
    :func:`write_disk` does.
    """
    image = DiskLayout(spec.size)
    start = lower.reader.start
    try:
        update_ext4(image, start, lower, changes, name=spec.name, epoch=spec.epoch)
    except TooSmallError as error:
        raise _too_small(spec, start + error.needed + _TAIL) from error
    return image.update(output, written)


def boot_image(spec: DiskSpec) -> bytes:
    """Return the unified kernel image: what the firmware starts."""
    try:
        stub, kernel, busybox = (path.read_bytes() for path in (spec.stub, spec.kernel, spec.busybox))
        initrd = build_initrd(spec.name, spec.epoch, spec.modules, busybox, xen=spec.bios)
    except OSError as error:
        raise BakeError(f"{error.filename} cannot be read: {error.strerror}") from error
    command_line = f"root=PARTUUID={root_partition(spec.name)} {spec.command_line}".strip()
    return build_uki(
        stub,
        [
            (".osrel", spec.os_release.encode("utf-8")),
            (".cmdline", command_line.encode("utf-8") + b"\0"),
            (".uname", spec.kernel_version.encode("utf-8")),
            (".initrd", initrd),
            (".linux", kernel),
        ],
    )


def _too_small(spec: DiskSpec, needed: int) -> SizeError:
    return SizeError(
        f"size {written_size(spec.size)}, needs at least {written_size(needed)}",
        hint="raise root_volume.size in the recipe; clones need room to work, too",
    )
