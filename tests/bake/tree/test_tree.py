import os
import shutil
import sys

import pytest

from ingot.bake.tree.tree import (
    Entry,
    Kind,
    Tree,
    changes,
    encode,
    file_entry,
    hash_file,
    hash_files,
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


DIRECTORY = Kind.DIRECTORY


def found(lower, upper):
    result = changes(Tree(lower), sort_entries(upper))
    return [entry.path for entry in result.entries], result.gone


def test_changes_are_what_is_not_the_same():
    lower = [Entry("/", DIRECTORY), *(file_entry(f"/{n}", b"old") for n in "abc")]
    upper = [
        Entry("/", DIRECTORY),
        file_entry("/a", b"old"),
        file_entry("/b", b"new"),
        file_entry("/c", b"old", mode=0o600),
        file_entry("/d", b"old"),
    ]
    assert found(lower, upper) == (["/b", "/c", "/d"], ["/b", "/c"])


def test_whiteouts_remove_and_opaque_directories_hide():
    lower = [
        Entry("/", DIRECTORY),
        Entry("/keep", DIRECTORY),
        file_entry("/keep/f", b"1"),
        Entry("/gone", DIRECTORY),
        file_entry("/gone/f", b"1"),
        file_entry("/gone-not", b"1"),
        Entry("/opaque", DIRECTORY),
        file_entry("/opaque/f", b"1"),
        file_entry("/opaque/g", b"1"),
        Entry("/file", DIRECTORY),
        file_entry("/file/f", b"1"),
    ]
    upper = [
        Entry("/", DIRECTORY),
        Entry("/gone", Kind.CHARACTER),
        Entry("/never", Kind.CHARACTER),
        Entry("/keep", DIRECTORY, 0o700),
        file_entry("/keep/g", b"2"),
        Entry("/opaque", DIRECTORY, opaque=True),
        file_entry("/opaque/g", b"1"),
        file_entry("/file", b"2"),
    ]
    # A directory that stays one is changed in its place; what came back as it was is no change.
    assert found(lower, upper) == (
        ["/file", "/keep", "/keep/g"],
        ["/file", "/file/f", "/gone", "/gone/f", "/opaque/f"],
    )


def test_hard_links_of_two_layers_are_kept_apart():
    old, new = file_entry("/x", b"old"), file_entry("/x", b"new")
    lower = [old._replace(path=f"/{name}", group="/a") for name in "abc"]
    upper = [new._replace(path=f"/{name}", group="/a") for name in "ad"]
    assert found(lower, upper) == (["/a", "/d"], ["/a"])


def test_a_name_more_makes_all_names_of_a_file_new():
    lower = [file_entry("/x", b"1")._replace(path=f"/{name}", group="/a") for name in "ab"]
    upper = [file_entry("/x", b"1")._replace(path=f"/{name}", group="/a") for name in "abc"]
    assert found(lower, upper[:2]) == ([], [])
    assert found(lower, upper) == (["/a", "/b", "/c"], ["/a", "/b"])


def test_what_lies_below_a_directory():
    tree = Tree(file_entry(path, b"") for path in ("/a", "/a/b", "/a/b/c", "/a-b", "/a0", "/b", "/a/\udcff"))
    assert tree.below("/a") == ["/a/b", "/a/b/c", "/a/\udcff"]
    assert tree.below("/c") == []


def test_what_vanishes_on_a_live_root_is_left_out(tmp_path):
    for name in ("kept", "gone", "early", "directory/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    doomed = {"os.listxattr": tmp_path / "early", "os.scandir": tmp_path / "directory"}

    def remove(event, arguments):
        path = doomed.get(event)
        if path is not None and arguments[0] == os.fsencode(path) and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    sys.addaudithook(remove)
    try:
        found = scan(tmp_path, live=True)
    finally:
        doomed.clear()  # a hook cannot be taken away
    (tmp_path / "gone").unlink()
    assert [entry.path for entry in hash_files(found, live=True)] == ["/", "/directory", "/kept"]
    with pytest.raises(OSError, match="gone"):
        hash_files(found)
