import os
import random
import shutil

import pytest

from ingot.bake.disk import read_ext4
from ingot.bake.disk.ext4.writer import TooSmallError, write_ext4
from ingot.bake.disk.image import DiskLayout
from ingot.bake.tree.tree import Entry, Kind, hash_files, scan, sort_entries
from ingot.errors import BakeError
from ingot.process import require, run
from ingot.quantities import MIB
from tests.bake.disk.helpers import EPOCH, check, data_file, debugfs, make_disk, plain, round_trip, tree

CAPABILITY = bytes.fromhex(
    "0100000200040000000000000000000000000000"
)  # cap_net_bind_service+ep, as setcap writes it
ACL = bytes.fromhex(
    "0200000001000700ffffffff020005002100000004000500ffffffff10000500ffffffff20000500ffffffff"
)


def assert_same(disk, entries):
    check(disk)
    assert round_trip(disk) == {entry.path: plain(entry) for entry in entries}


def test_empty_tree(tmp_path):
    disk, _ = make_disk(tmp_path, [])
    check(disk)
    assert list(round_trip(disk)) == ["/"]


@pytest.mark.parametrize("size", [66, 130, 257, 1026, 2050, 2052, 2056, 4099, 5000, 40 * 1024])
def test_every_size_is_a_sound_file_system(tmp_path, size):
    disk, _ = make_disk(tmp_path, tree(data_file("/a", b"content")), size * MIB)
    check(disk)


def test_hard_links(tmp_path):
    entries = tree(*(data_file(f"/{name}", b"one", group="/a") for name in ("a", "b", "c/d")))
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)
    assert "Links: 3" in debugfs(disk, "stat /c/d")


def test_capabilities_and_other_attributes(tmp_path):
    entries = tree(
        data_file("/ping", b"x", xattrs=(("security.capability", CAPABILITY),)),
        data_file("/large", b"x", xattrs=(("user.long", b"v" * 3000), ("user.short", b"s"))),
        data_file("/empty", b"", xattrs=(("user.none", b""),)),
        Entry(
            "/acl",
            Kind.DIRECTORY,
            0o755,
            mtime=EPOCH,
            xattrs=(("system.posix_acl_access", ACL), ("system.posix_acl_default", ACL)),
        ),
    )
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)
    assert CAPABILITY.hex(" ") in debugfs(disk, "ea_get -x /ping security.capability").lower()
    assert "v" * 3000 in debugfs(disk, "ea_get /large user.long")
    listed = debugfs(disk, "ea_list /acl")
    assert "system.posix_acl_access" in listed
    assert "system.posix_acl_default" in listed


def test_attributes_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(BakeError, match="/big: the extended attributes do not fit"):
        make_disk(tmp_path, tree(data_file("/big", b"", xattrs=(("user.big", b"v" * 5000),))))


def test_modes_owners_and_times(tmp_path):
    entries = tree(
        data_file("/sudo", b"x", mode=0o4755),
        data_file("/wall", b"x", mode=0o2755, gid=5),
        data_file("/owned", b"x", uid=70000, gid=4_000_000_000),
        Entry("/tmp", Kind.DIRECTORY, 0o1777, mtime=1),
        Entry("/future", Kind.DIRECTORY, 0o755, mtime=EPOCH + 1000),
    )
    disk, _ = make_disk(tmp_path, entries)
    check(disk)
    # No time on the disk is later than the recipe's.
    expected = {entry.path: plain(entry, mtime=min(entry.mtime, EPOCH)) for entry in entries}
    assert round_trip(disk) == expected


def test_devices_and_pipes(tmp_path):
    entries = tree(
        Entry("/dev/null", Kind.CHARACTER, 0o666, mtime=EPOCH, device=(1, 3)),
        Entry("/dev/disk", Kind.BLOCK, 0o660, mtime=EPOCH, device=(259, 70000)),
        Entry("/dev/pipe", Kind.FIFO, 0o600, mtime=EPOCH),
    )
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)
    assert "Device major/minor number: 01:03" in debugfs(disk, "stat /dev/null")


@pytest.mark.parametrize("length", [1, 58, 59, 60, 61, 4095])
def test_symbolic_links_of_every_length(tmp_path, length):
    entries = tree(Entry("/link", Kind.SYMLINK, 0o777, mtime=EPOCH, size=length, link="t" * length))
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)
    assert ("Fast link dest" in debugfs(disk, "stat /link")) == (length < 60)


def test_names_of_every_kind(tmp_path):
    names = ["a b", "ü€😀", "n" * 255, "\udcff\udcfe", "new\nline", "-x", "é" * 127]
    entries = tree(*(data_file(f"/d/{name}", name.encode("utf-8", "surrogateescape")) for name in names))
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)


def test_five_thousand_files_in_one_directory(tmp_path):
    entries = tree(
        *(data_file(f"/d/some-file-name-{number}", str(number).encode()) for number in range(5000))
    )
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)


def test_a_large_file_and_its_bytes(tmp_path):
    # Three groups long, so in several extents.
    data = random.Random(1).randbytes(1 << 20) * 300
    source = tmp_path / "source"
    source.write_bytes(data)
    (entry,) = hash_files([Entry("/big", Kind.FILE, mtime=EPOCH, size=len(data), source=str(source))])
    disk, _ = make_disk(tmp_path, tree(entry), 512 * MIB)
    assert_same(disk, tree(entry))
    debugfs(disk, f"dump /big {tmp_path}/dumped")
    assert (tmp_path / "dumped").read_bytes() == data


def test_long_zeros_are_holes_whatever_the_source_has(tmp_path):
    data = bytes(300 * MIB - 1) + b"x"
    source, sparse = tmp_path / "dense", tmp_path / "sparse"
    source.write_bytes(data)
    with sparse.open("wb") as file:
        file.seek(300 * MIB - 1)
        file.write(b"x")
    digests = []
    for path in (source, sparse):
        (entry,) = hash_files([Entry("/zeros", Kind.FILE, mtime=EPOCH, size=len(data), source=str(path))])
        disk, digest = make_disk(tmp_path, tree(entry), 128 * MIB)
        assert_same(disk, tree(entry))
        digests.append(digest)
    assert digests[0] == digests[1]


def test_a_file_of_many_pieces_has_a_deeper_tree(tmp_path):
    data = b"".join(bytes([1]) * 65536 + bytes(65536) for _ in range(400))
    entries = tree(data_file("/holes", data))
    disk, _ = make_disk(tmp_path, entries)
    assert_same(disk, entries)
    assert "1/ 1" in debugfs(disk, "dump_extents /holes")


def test_the_order_of_the_entries_does_not_matter_nor_does_their_directory(tmp_path):
    root = tmp_path / "root"
    for number in range(50):
        (root / f"d{number % 7}").mkdir(parents=True, exist_ok=True)
        (root / f"d{number % 7}" / f"f{number}").write_text(str(number) * number)
    for path in root.rglob("*"):
        os.utime(path, (EPOCH, EPOCH))
    os.utime(root, (EPOCH, EPOCH))
    shutil.copytree(root, tmp_path / "other", copy_function=shutil.copy2)
    entries = scan(root)
    shuffled = random.Random(2).sample(scan(tmp_path / "other"), len(entries))
    first = make_disk(tmp_path, entries)[1]
    second = make_disk(tmp_path, sort_entries(shuffled))[1]
    assert first == second


def test_a_real_tree_comes_back_whole_by_debugfs(tmp_path):
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_bytes(bytes(range(256)) * 1000)
    (root / "a/link").symlink_to("b/file")
    disk, _ = make_disk(tmp_path, scan(root))
    (tmp_path / "out").mkdir()
    debugfs(disk, f"rdump /a {tmp_path}/out")
    assert (tmp_path / "out/a/b/file").read_bytes() == bytes(range(256)) * 1000
    assert str((tmp_path / "out/a/link").readlink()) == "b/file"


@pytest.mark.parametrize(("before", "after"), [(130, 300), (2050, 9000), (1026, 40_000)])
def test_the_file_system_can_grow(tmp_path, before, after):
    entries = tree(*(data_file(f"/d/{number}", bytes([number]) * 100_000) for number in range(200)))
    alone = tmp_path / "alone.raw"
    image = DiskLayout(before * MIB)
    write_ext4(image, 0, before * MIB, name="test", entries=entries, epoch=EPOCH)
    image.write(alone)
    os.truncate(alone, after * MIB)
    run([require("resize2fs", needed_for="test"), alone])
    done = run([require("e2fsck", needed_for="test"), "-fn", alone], check=False)
    assert done.returncode == 0, done.stdout
    blocks = run([require("dumpe2fs", needed_for="test"), "-h", alone]).stdout
    assert f"Block count:              {after * 256}" in blocks


def test_too_small_says_how_much_it_needs(tmp_path):
    entries = tree(data_file("/big", random.Random(3).randbytes(1 << 20) * 200))
    with pytest.raises(TooSmallError) as caught:
        make_disk(tmp_path, entries, 128 * MIB)
    # What it asks for is enough, and not far from the content.
    make_disk(tmp_path, entries, caught.value.needed + 2 * MIB)
    assert 200 * MIB < caught.value.needed < 280 * MIB
    check(tmp_path / "test.raw")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([Entry("/", Kind.DIRECTORY), data_file("/a/b", b"")], "/a/b: no directory /a"),
        (tree(data_file("/" + "n" * 256, b"")), "its name has 256 bytes"),
        (tree(Entry("/l", Kind.SYMLINK, link="t" * 4096)), "its target has 4096 bytes"),
        ([*tree(data_file("/a", b"")), data_file("/a", b"")], "/a is twice"),
        (tree(data_file("/s", b"abc")._replace(size=4)), "/s: 3 bytes of content for a size of 4"),
        (tree(Entry("/f", Kind.FILE, size=200_000)), "/f: a file without a content"),
    ],
)
def test_trees_that_cannot_be(tmp_path, entries, message):
    with pytest.raises(BakeError, match=message):
        make_disk(tmp_path, entries)
    assert list(tmp_path.iterdir()) == []


def test_one_file_can_be_read(tmp_path):
    disk, _ = make_disk(tmp_path, tree(data_file("/etc/x", b"content")))
    with read_ext4(disk) as reader:
        assert reader.read("/etc/x") == b"content"
        with pytest.raises(BakeError, match="there is no file"):
            reader.read("/etc/y")


def test_a_damaged_disk_is_an_error(tmp_path):
    disk, _ = make_disk(tmp_path, tree(data_file("/etc/x", b"content")))
    with disk.open("r+b") as file:
        file.seek(MIB + 128 * 4096)  # the inode table
        file.write(b"\xff" * 8192)
    with read_ext4(disk) as reader, pytest.raises(BakeError, match="damaged"):
        reader.entries()
    (tmp_path / "empty.raw").write_bytes(b"")
    with pytest.raises(BakeError, match="0 root partitions"):
        read_ext4(tmp_path / "empty.raw")
