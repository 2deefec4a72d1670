"""The upper layer put on a copy of the lower layer's disk."""

import random

import pytest

from ingot.bake.disk.ext4.writer import TooSmallError
from ingot.bake.tree.tree import Entry, Kind
from ingot.quantities import MIB
from tests.bake.disk.helpers import EPOCH, check, data_file, make_disk, plain, round_trip, tree

SECRET = b"what the packages brought and the recipe took away "


def directory(path, mode=0o755):
    return Entry(path, Kind.DIRECTORY, mode, mtime=EPOCH)


def link(path, target):
    return Entry(path, Kind.SYMLINK, 0o777, mtime=EPOCH, size=len(target), link=target)


def hard(content, *paths):
    return [data_file(path, content, group=min(paths)) for path in paths]


LOWER = [
    data_file("/etc/passwd", b"root"),
    data_file("/etc/shadow", SECRET * 1000),
    *(
        data_file(f"/usr/lib/d{n}/f{m}", random.Random(n * m).randbytes(n * m * 300))
        for n in range(9)
        for m in range(9)
    ),
    *hard(b"linked" * 1000, "/usr/bin/a", "/usr/bin/b", "/usr/bin/c"),
    link("/bin", "usr/bin"),
    link("/usr/long", "x" * 100),
    data_file("/usr/attributes", b"x", xattrs=(("user.long", b"v" * 2000),)),
    *(data_file(f"/many/{'n' * 100}{n}", b"") for n in range(200)),
]


def without(*paths):
    return [e for e in LOWER if e.path not in paths and not e.path.startswith(tuple(f"{p}/" for p in paths))]


UPPERS = {
    "nothing": LOWER,
    "a new file": [*LOWER, data_file("/srv/web/app", b"app")],
    "a changed file": [*without("/etc/passwd"), data_file("/etc/passwd", b"root and app")],
    "a changed mode": [*without("/etc/passwd"), data_file("/etc/passwd", b"root", mode=0o600)],
    "a removed file": without("/etc/shadow"),
    "a removed directory": without("/usr/lib/d5", "/many"),
    "a name of a hard link": without("/usr/bin/b"),
    "all names of a hard link": without("/usr/bin/a", "/usr/bin/b", "/usr/bin/c"),
    "a changed name of a hard link": [*without("/usr/bin/a"), data_file("/usr/bin/a", b"other")],
    "a directory for a file": [*without("/etc/shadow"), data_file("/etc/shadow/file", b"x")],
    "a file for a directory": [*without("/usr/lib/d5"), data_file("/usr/lib/d5", b"x")],
    "a link for a directory": [*without("/usr/lib/d5"), link("/usr/lib/d5", "d6")],
    "a directory's mode": [*LOWER, directory("/usr/lib/d5", 0o700), directory("/", 0o711)],
    "long links and attributes go": without("/usr/long", "/usr/attributes"),
    "many new files": [*LOWER, *(data_file(f"/srv/{n % 7}/{n}", str(n).encode() * n) for n in range(900))],
    "in lost+found": [*LOWER, data_file("/lost+found/x", b"x")],
}


@pytest.mark.parametrize("case", UPPERS)
def test_the_tree_is_the_upper_one_and_the_file_system_is_sound(tmp_path, case):
    upper = tree(*UPPERS[case])
    disk, _ = make_disk(tmp_path, tree(*LOWER), upper=upper)
    check(disk)
    # A hard-linked file that lost names may have lost its group.
    expected = {e.path: plain(e, group=None) for e in upper if e.path != "/lost+found"}
    assert {path: e._replace(group=None) for path, e in round_trip(disk).items()} == expected


def test_the_names_left_of_a_hard_link_stay_one_file(tmp_path):
    disk, _ = make_disk(tmp_path, tree(*LOWER), upper=tree(*UPPERS["a name of a hard link"]))
    found = round_trip(disk)
    assert found["/usr/bin/a"].group == found["/usr/bin/c"].group == "/usr/bin/a"


def test_what_was_removed_is_nowhere_on_the_disk(tmp_path):
    disk, _ = make_disk(tmp_path, tree(*LOWER), upper=tree(*without("/etc/shadow")))
    assert SECRET in (tmp_path / "test.lower").read_bytes()
    assert SECRET not in disk.read_bytes()
    assert b"/etc/shadow" not in disk.read_bytes()


def test_nothing_of_the_lower_layer_moves(tmp_path):
    before = make_disk(tmp_path, tree(*LOWER))[1]
    (tmp_path / "test.raw").unlink()
    after = make_disk(tmp_path, tree(*LOWER), upper=tree(*LOWER, data_file("/srv/web/app", b"app" * 1000)))[1]
    # Superblock and bitmaps, inode table, the names of /, the new inodes, the new names and content.
    assert 0 < sum(a != b for a, b in zip(before.blocks, after.blocks, strict=True)) <= 6


def test_an_upper_layer_that_does_not_fit_says_how_much_it_needs(tmp_path):
    lower = tree(data_file("/a", random.Random(1).randbytes(20 * MIB)))
    upper = tree(*lower, data_file("/b", random.Random(2).randbytes(40 * MIB)))
    with pytest.raises(TooSmallError) as caught:
        make_disk(tmp_path, lower, 66 * MIB, upper=upper)
    for file in tmp_path.iterdir():
        file.unlink()
    disk, _ = make_disk(tmp_path, lower, caught.value.needed + 2 * MIB, upper=upper)
    check(disk)


def test_a_disk_without_room_to_spread_is_packed(tmp_path):
    lower = tree(data_file("/a", random.Random(1).randbytes(20 * MIB)))
    upper = tree(*lower, *(data_file(f"/b/{n}", random.Random(n).randbytes(900_000)) for n in range(20)))
    disk, _ = make_disk(tmp_path, lower, 66 * MIB, upper=upper)
    check(disk)
    assert len(round_trip(disk)) == len(upper)
