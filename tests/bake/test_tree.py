import os

import pytest

from ingot.bake.tree import (
    Entry,
    Kind,
    diff,
    encode,
    file_entry,
    hash_file,
    hash_files,
    merge,
    scan,
    sort_entries,
)
from ingot.errors import BakeError


def by_path(entries):
    return {entry.path: entry for entry in entries}


def test_scan_sees_everything_in_the_order_of_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/f").write_bytes(b"x")
    (tmp_path / "a-b").write_bytes(b"")
    (tmp_path / "link").symlink_to("a/f")
    os.mkfifo(tmp_path / "pipe")
    os.link(tmp_path / "a/f", tmp_path / "hard")
    name = os.fsencode(tmp_path) + b"/\xff\xfe"
    with open(name, "wb") as file:  # noqa: PTH123
        file.write(b"odd")
    entries = scan(tmp_path)
    assert [encode(e.path) for e in entries] == [
        b"/",
        b"/a",
        b"/a-b",
        b"/a/f",
        b"/hard",
        b"/link",
        b"/pipe",
        b"/\xff\xfe",
    ]
    found = by_path(entries)
    assert found["/a/f"].group == found["/hard"].group == "/a/f"
    assert (found["/link"].kind, found["/link"].link, found["/link"].size) == (Kind.SYMLINK, "a/f", 3)
    assert found["/pipe"].kind is Kind.FIFO
    assert found["/a-b"].group is None
    odd = hash_files(entries)[-1]
    assert odd.sha256 == hash_file(odd) == hash_file(file_entry("/x", b"odd"))


def test_scan_keeps_the_attributes_of_the_image_alone(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"")
    try:
        os.setxattr(file, "user.kept", b"v")
        os.setxattr(file, "user.overlay.origin", b"v")
    except OSError:
        pytest.skip("this file system keeps no user attributes")
    assert by_path(scan(tmp_path))["/f"].xattrs == (("user.kept", b"v"),)


def test_scan_of_what_is_not_there(tmp_path):
    with pytest.raises(BakeError, match="cannot be read"):
        scan(tmp_path / "none")


def test_sort_is_by_bytes():
    # U+10000 sorts before U+FFFF in UTF-16 and after it in UTF-8.
    paths = ["/\uffff", "/\U00010000", "/b", "/B", "/\udcff"]
    assert [e.path for e in sort_entries(Entry(p, Kind.FILE) for p in paths)] == [
        "/B",
        "/b",
        "/\uffff",
        "/\U00010000",
        "/\udcff",
    ]


def test_diff_marks_what_changed():
    lower = [Entry("/", Kind.DIRECTORY), *(file_entry(f"/{n}", b"old") for n in "abc")]
    merged = [
        Entry("/", Kind.DIRECTORY),
        file_entry("/a", b"old"),
        file_entry("/b", b"new"),
        file_entry("/c", b"old", mode=0o600),
        file_entry("/d", b"old"),
    ]
    assert {e.path: e.layer for e in diff(lower, merged)} == {"/": 0, "/a": 0, "/b": 1, "/c": 1, "/d": 1}


def test_merge_lays_one_tree_over_another():
    directory = Kind.DIRECTORY
    lower = [
        Entry("/", directory), Entry("/keep", directory), file_entry("/keep/f", b"1")._replace(layer=0), Entry("/gone", directory),
        file_entry("/gone/f", b"1"), file_entry("/gone-not", b"1"), Entry("/opaque", directory), file_entry("/opaque/f", b"1"),
    ]  # fmt: skip
    upper = [
        Entry("/", directory),
        Entry("/gone", Kind.CHARACTER),
        Entry("/keep", directory),
        file_entry("/keep/g", b"2"),
        Entry("/opaque", directory, opaque=True),
    ]
    merged = by_path(merge(lower, upper))
    assert list(merged) == ["/", "/gone-not", "/keep", "/keep/f", "/keep/g", "/opaque"]
    assert merged["/keep/f"].layer == 0
    assert merged["/keep/g"].layer == 1


def test_merge_keeps_hard_links_of_two_layers_apart():
    old, new = file_entry("/x", b"old"), file_entry("/x", b"new")
    lower = [old._replace(path=f"/{name}", group="/a") for name in "abc"]
    upper = [new._replace(path=f"/{name}", group="/a") for name in "ad"]
    assert {e.path: e.group for e in merge(lower, upper)} == {"/a": "/a", "/b": "/b", "/c": "/b", "/d": "/a"}
    assert {e.path: e.group for e in merge(lower, [*upper, new._replace(path="/b")])}["/c"] is None
