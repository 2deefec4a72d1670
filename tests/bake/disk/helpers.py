"""What the tests of the disk writer share."""

import hashlib
import struct
from pathlib import Path

from ingot.bake.disk import gpt, read_ext4
from ingot.bake.disk.ext4.writer import write_ext4
from ingot.bake.disk.identity import identifier, root_partition
from ingot.bake.disk.image import Image
from ingot.bake.disk.spec import MIB
from ingot.bake.tree import Entry, Kind, sort_entries
from ingot.process import require, run

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


def make_disk(directory, entries, size=256 * MIB, name="test"):
    """Write a disk that has a root partition alone; return its path and its digests."""
    disk = directory / f"{name}.raw"
    image = Image(size)
    root = gpt.Partition(gpt.ROOT_TYPES["x86_64"], root_partition(name), MIB, size - 2 * MIB, "root")
    gpt.write_table(image, identifier(name, "disk"), [root])
    write_ext4(image, MIB, size - 2 * MIB, name=name, entries=entries, epoch=EPOCH)
    return disk, image.write(disk)


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
    return entry._replace(source=None, data=None, layer=0, **changes)


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
