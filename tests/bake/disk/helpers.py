"""What the tests of the disk writer share."""

import hashlib
import struct
from pathlib import Path

from ingot.bake.disk import Lower, gpt, read_ext4
from ingot.bake.disk.ext4.update import update_ext4
from ingot.bake.disk.ext4.writer import write_ext4
from ingot.bake.disk.identity import identifier, root_partition
from ingot.bake.disk.image import DiskLayout, WrittenDisk
from ingot.bake.disk.index import LayerIndex
from ingot.bake.layers.lower_disk import copy_disk
from ingot.bake.tree.tree import Entry, Kind, changes, hash_files, sort_entries
from ingot.process import require, run
from ingot.quantities import MIB

EPOCH = 1_750_000_000


def tree(*entries, directories=()):
    """Entries with all the directories that they need, sorted."""
    paths = {entry.path: entry for entry in entries}
    for path in [*paths, *directories]:
        for above in (
            [path, *(str(p) for p in Path(path).parents)]
            if path in directories
            else map(str, Path(path).parents)
        ):
            paths.setdefault(above, Entry(above, Kind.DIRECTORY, 0o755, mtime=EPOCH))
    return sort_entries(paths.values())


def data_file(path, data, **fields):
    digest = hashlib.sha256(data).hexdigest()
    return Entry(path, Kind.FILE, size=len(data), data=data, mtime=EPOCH, sha256=digest, **fields)


def make_disk(directory, entries, size=256 * MIB, name="test", upper=None):
    """Write a disk that has a root partition alone; return its path and its digests.

    ``upper``: the entries of the tree that the lower layer, ``entries``, becomes by an update.
    """
    disk = directory / f"{name}.raw"
    image = DiskLayout(size)
    root = gpt.Partition(gpt.ROOT_TYPES["x86_64"], root_partition(name), MIB, size - 2 * MIB, "root")
    gpt.write_table(image, identifier(name, "disk"), [root])
    layout = write_ext4(image, MIB, size - 2 * MIB, name=name, entries=entries, epoch=EPOCH)
    digest = image.write(disk)
    if upper is None:
        return disk, digest
    lower = disk.with_suffix(".lower")
    disk.rename(lower)
    return disk, update(lower, digest, layout, entries, upper, disk, name)


def update(lower, digest, layout, entries, upper, disk, name="test"):
    """Copy the disk ``lower`` and make its tree ``upper``; return the digests."""
    copy_disk(lower, disk)
    index = LayerIndex.of(hash_files(entries), Path("/"), EPOCH)
    image = DiskLayout(digest.size)
    with read_ext4(lower) as reader:
        below = Lower(
            layout,
            reader,
            index.numbers,
            lambda p: index.get(p) or Entry(p, Kind.DIRECTORY, 0o700, mtime=EPOCH),
        )
        update_ext4(image, MIB, below, laid_over(index, upper), name=name, epoch=EPOCH)
    return image.update(disk, WrittenDisk(lower, digest.blocks))


def laid_over(index, upper):
    """The changes that make the tree of ``index`` the tree ``upper``."""
    paths = {entry.path for entry in upper}
    gone = [Entry(path, Kind.CHARACTER) for path in index if path not in paths]
    return changes(index, hash_files(sort_entries([*upper, *gone])))


def check(disk):
    """e2fsck finds nothing to say about the root file system."""
    done = run([require("e2fsck", needed_for="test"), "-fn", f"{disk}?offset={MIB}"], check=False)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("Pass ", "ingot-root: "))]
    assert (done.returncode, lines) == (0, []), done.stdout


def debugfs(disk, command):
    return run([require("debugfs", needed_for="test"), "-R", command, f"{disk}?offset={MIB}"]).stdout


def round_trip(disk):
    """What is on the disk, without lost+found."""
    with read_ext4(disk) as reader:
        return {entry.path: entry for entry in reader.entries() if entry.path != "/lost+found"}


def plain(entry, **changes):
    """An entry without what does not survive being written."""
    return entry._replace(source=None, data=None, **changes)


def tiny_stub():
    """A PE32+ file with one section and room for more section headers."""
    headers = 0x400
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 0xF0, 0x22E)
    optional = bytearray(0xF0)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<II", optional, 32, 0x1000, 0x200)
    struct.pack_into("<II", optional, 56, 0x2000, headers)
    struct.pack_into("<I", optional, 108, 16)
    section = struct.pack("<8sIIIIIIHHI", b".text", 16, 0x1000, 0x200, headers, 0, 0, 0, 0, 0x60000020)
    return (dos + coff + optional + section).ljust(headers, b"\0") + bytes(range(16)).ljust(0x200, b"\0")
