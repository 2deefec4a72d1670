import errno
import hashlib
import os
import re
import threading
from dataclasses import replace

import pytest

from ingot.bake.disk import DiskSpec, gpt, uki, write_disk
from ingot.bake.disk.image import DiskLayout
from ingot.bake.tree.tree import Entry, Kind
from ingot.blocks import BLOCK_SIZE
from ingot.errors import BakeError, SizeError
from ingot.process import run
from ingot.quantities import MIB, parse_size
from tests.bake.disk.helpers import EPOCH, data_file, plain, round_trip, tiny_stub, tree


@pytest.fixture
def spec(tmp_path):
    modules = tmp_path / "6.1.0-test"
    modules.mkdir()
    (modules / "modules.dep").write_text("")
    (modules / "modules.builtin").write_text("kernel/nvme.ko kernel/ext4.ko")
    for name, content in (("kernel", b"kernel" * 1000), ("stub", tiny_stub()), ("busybox", b"busybox")):
        (tmp_path / name).write_bytes(content)
    return DiskSpec(
        name="web",
        size=160 * MIB,
        epoch=EPOCH,
        architecture="x86_64",
        kernel=tmp_path / "kernel",
        modules=modules,
        stub=tmp_path / "stub",
        busybox=tmp_path / "busybox",
        command_line="console=ttyS0",
        os_release="ID=test\n",
    )


ENTRIES = tree(
    data_file("/etc/x", b"content"), Entry("/bin", Kind.SYMLINK, 0o777, mtime=EPOCH, size=7, link="usr/bin")
)


def test_the_disk_has_two_partitions_and_no_fault(spec, tmp_path):
    disk = tmp_path / "disk.raw"
    write_disk(spec, ENTRIES, disk)
    assert disk.stat().st_size == spec.size
    verified = run(["sfdisk", "--verify", disk], check=False)
    assert "No errors detected" in verified.stdout
    boot, root = gpt.read_table(disk.read_bytes()[: 17 * 1024])
    assert (boot.start, boot.size, boot.name) == (MIB, 64 * MIB, "ingot-boot")
    assert root.start % BLOCK_SIZE == 0
    assert round_trip(disk) == {entry.path: plain(entry) for entry in ENTRIES}
    run(["e2fsck", "-fn", f"{disk}?offset={root.start}"])


def test_the_kernel_command_line_names_the_root_partition(spec, tmp_path):
    disk = tmp_path / "disk.raw"
    write_disk(spec, ENTRIES, disk)
    run(["mcopy", "-i", f"{disk}@@{MIB}", "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "uki"])
    root = gpt.read_table(disk.read_bytes()[: 17 * 1024])[1]
    sections = dict(uki.read_sections((tmp_path / "uki").read_bytes()))
    assert sections[".cmdline"] == f"root=PARTUUID={root.id} console=ttyS0\0".encode()
    assert sections[".uname"] == b"6.1.0-test"
    assert sections[".linux"] == b"kernel" * 1000


def test_the_digests_are_those_of_the_file(spec, tmp_path):
    disk = tmp_path / "disk.raw"
    digest, _ = write_disk(spec, ENTRIES, disk)
    data = disk.read_bytes()
    blocks = [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]
    zero = bytes(BLOCK_SIZE)
    assert list(digest.blocks) == [None if b == zero else hashlib.sha256(b).hexdigest() for b in blocks]
    whole = hashlib.sha256(b"".join(hashlib.sha256(b).digest() for b in blocks)).hexdigest()
    assert digest.root_digest == whole
    assert digest.used == sum(b != zero for b in blocks) * BLOCK_SIZE
    # What is zero takes no room.
    assert disk.stat().st_blocks * 512 <= digest.used + MIB


def test_the_same_arguments_give_the_same_disk(spec, tmp_path):
    before = os.umask(0o077)
    try:
        first = write_disk(spec, ENTRIES, tmp_path / "a.raw")
    finally:
        os.umask(before)
    assert write_disk(spec, ENTRIES[::-1], tmp_path / "b.raw") == first
    assert (tmp_path / "a.raw").read_bytes() == (tmp_path / "b.raw").read_bytes()


def test_a_disk_that_is_too_small_says_so_and_leaves_nothing(spec, tmp_path):
    big = tree(data_file("/big", os.urandom(MIB) * 200))
    with pytest.raises(SizeError) as caught:
        write_disk(spec, big, tmp_path / "disk.raw")
    assert not (tmp_path / "disk.raw").exists()
    said = re.fullmatch(r"size 160MiB, needs at least (2\d\dMiB)", caught.value.message)
    # What is said may stand in the recipe, and is enough.
    write_disk(replace(spec, size=parse_size(said[1])), big, tmp_path / "disk.raw")


def test_a_file_that_shrinks_meanwhile_is_an_error_and_leaves_nothing(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"short")
    image = DiskLayout(MIB)
    image.put_file(0, 100, os.fsencode(source), 0)
    with pytest.raises(BakeError, match="became shorter"):
        image.write(tmp_path / "disk.raw")
    assert not (tmp_path / "disk.raw").exists()


def test_an_output_that_cannot_be_written(spec, tmp_path):
    with pytest.raises(BakeError, match="cannot be written"):
        write_disk(spec, ENTRIES, tmp_path / "none" / "disk.raw")


def test_a_full_disk_is_told_and_nothing_is_left(spec, tmp_path, monkeypatch):
    real = os.pwrite
    room = [BLOCK_SIZE * 3 // 2]

    lock = threading.Lock()

    def pwrite(file, data, offset):
        with lock:
            if room[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = real(file, data[: room[0]], offset)
            room[0] -= written
            return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(BakeError, match="No space left on device") as caught:
        write_disk(spec, ENTRIES, tmp_path / "disk.raw")
    assert caught.value.hint == "free some space"
    assert not (tmp_path / "disk.raw").exists()


def test_a_copy_is_written_beside_it_and_goes_with_it(spec, tmp_path, monkeypatch):
    disk, copy = tmp_path / "disk.raw", tmp_path / "copy.raw"
    write_disk(spec, ENTRIES, disk, copy=copy)
    assert copy.read_bytes() == disk.read_bytes()
    assert copy.stat().st_blocks == disk.stat().st_blocks, "its holes are kept"
    assert f"{copy.stat().st_mode & 0o777:o}" == "600"

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(BakeError, match="No space left on device"):
        write_disk(spec, ENTRIES, disk, copy=copy)
    assert not disk.exists()
    assert not copy.exists()


def test_missing_input_is_named(spec, tmp_path):
    spec.stub.unlink()
    with pytest.raises(BakeError, match="stub cannot be read"):
        write_disk(spec, ENTRIES, tmp_path / "disk.raw")


def test_what_a_disk_cannot_be(spec):
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    with pytest.raises(BakeError, match="architecture 's390x'"):
        DiskSpec(**{**fields, "architecture": "s390x"})
    with pytest.raises(BakeError, match="a multiple of 524288"):
        DiskSpec(**{**fields, "size": 1000})
