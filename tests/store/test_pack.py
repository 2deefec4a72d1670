import os
import subprocess

import pytest

from ingot.errors import InputError
from ingot.files import UNFINISHED
from ingot.store import Store
from ingot.store.pack import pack, unpack


def quiet(_):
    pass


@pytest.fixture
def store(tmp_path):
    """A store with a layer whose files are not all the caller's, and a sparse disk."""
    store = Store(tmp_path / "one")
    root = store.layers / ("ab" * 32) / "root"
    root.mkdir(parents=True)
    (root / "secret").write_text("x")
    (root / "link").symlink_to("/etc/passwd")
    for name in ("srv/app/Gemfile.lock", "srv/disks/x.tmp", "disks/uv.lock", "a.lock", "b.tmp"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    disks = root.parent / "disks"  # of a bake that goes on
    (disks / ("01" * 32)).mkdir(parents=True)
    (disks / ("01" * 32) / "state").write_text("whole")
    (disks / ("01" * 32 + ".lock")).touch()
    (disks / ("02" * 32 + ".tmp")).mkdir()
    (disks / ("02" * 32 + ".tmp") / "disk.raw").touch()
    (store.layers / ("99" * 32 + ".tmp") / "root").mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(root / "secret", 33, 33)
    (root / "secret").chmod(0o4700)  # after chown(2), which takes setuid away
    (store.layers / ("ab" * 32 + ".lock")).touch()
    above = store.layers / ("ef" * 32) / "root"  # a layer on that one, whose files it shares
    above.mkdir(parents=True)
    (above / "secret").hardlink_to(root / "secret")
    store.packages.mkdir()
    (store.packages / "in-use.lock").touch()
    (store.packages / "ab").mkdir()
    (store.packages / "ab" / f".x1{UNFINISHED}").touch()
    image = store.images / ("cd" * 32)
    image.mkdir(parents=True)
    (image / "manifest.json").write_text('{"name": "web"}')
    with (image / "disk.raw").open("wb") as disk:
        disk.truncate(64 << 20)
        disk.seek(1 << 20)
        disk.write(b"boot")
    return store


@pytest.mark.parametrize("name", ["store.tar", "store.tar.zst"])
def test_another_machine_gets_the_same_store(store, tmp_path, name):
    size = pack(store, tmp_path / name, quiet)
    assert size < 1 << 20
    other = Store(tmp_path / "other")
    unpack(other, tmp_path / name, quiet)
    root = other.layers / ("ab" * 32) / "root"
    assert str((root / "link").readlink()) == "/etc/passwd"
    status = (root / "secret").stat()
    assert status.st_mode & 0o7777 == 0o4700
    assert status.st_uid == (store.layers / ("ab" * 32) / "root" / "secret").stat().st_uid
    assert (other.layers / ("ef" * 32) / "root" / "secret").stat().st_ino == status.st_ino
    [image] = other.all_images()
    assert image.name == "web"
    assert image.disk.stat().st_size == 64 << 20
    assert image.disk.stat().st_blocks * 512 < 1 << 20
    # What a layer holds comes along whatever its name is; locks of the store and what is being made do not.
    for kept in ("srv/app/Gemfile.lock", "srv/disks/x.tmp", "disks/uv.lock", "a.lock", "b.tmp"):
        assert (root / kept).read_text() == kept
    assert [path.name for path in sorted((root.parent / "disks").iterdir())] == ["01" * 32]
    listed = subprocess.run(
        ["tar", "--list", "--file", tmp_path / name], capture_output=True, text=True, check=True
    ).stdout
    for left_out in (
        "ab" * 32 + ".lock",
        "99" * 32,
        "01" * 32 + ".lock",
        "02" * 32,
        "in-use.lock",
        UNFINISHED,
    ):
        assert left_out not in listed


def test_what_is_there_already_stays(store, tmp_path):
    pack(store, tmp_path / "store.tar", quiet)
    manifest = store.images / ("cd" * 32) / "manifest.json"
    manifest.write_text("newer")
    unpack(store, tmp_path / "store.tar", quiet)
    assert manifest.read_text() == "newer"


def test_an_empty_store_is_no_use(tmp_path):
    with pytest.raises(InputError, match="there is nothing in the store"):
        pack(Store(tmp_path / "none"), tmp_path / "store.tar", quiet)


def test_what_cannot_be_written_leaves_nothing(store, tmp_path):
    with pytest.raises(InputError, match=r"store\.tar cannot be written: [^/]+$"):
        pack(store, tmp_path / "no" / "such" / "store.tar", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("name", ["../evil", "work/evil"])
def test_an_archive_of_something_else_is_refused(store, tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "work").mkdir()
    (tmp_path / "in" / "work" / "evil").write_text("x")
    (tmp_path / "evil").write_text("x")
    archive = tmp_path / "evil.tar"
    subprocess.run(["tar", "-C", tmp_path / "in", "-P", "-cf", archive, name], check=True)
    with pytest.raises(InputError, match="is not a packed store: it holds"):
        unpack(store, archive, quiet)
    with pytest.raises(InputError, match="there is no file"):
        unpack(store, tmp_path / "none.tar", quiet)
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(InputError, match="is not a packed store"):
        unpack(store, tmp_path / "text.tar", quiet)


def test_an_archive_that_breaks_off_leaves_nothing_half_unpacked(store, tmp_path):
    image = store.images / ("cd" * 32)
    (image / "disk.raw").write_bytes(os.urandom(1 << 20))
    pack(store, tmp_path / "store.tar", quiet)
    whole = (tmp_path / "store.tar").read_bytes()
    (tmp_path / "store.tar").write_bytes(whole[: len(whole) // 2])
    other = Store(tmp_path / "other")
    with pytest.raises(InputError, match="is not a packed store"):
        unpack(other, tmp_path / "store.tar", quiet)
    assert list(other.layers.iterdir()) == []
    assert list(other.images.iterdir()) == []
    assert [path.name for path in other.work.iterdir()] == ["unpack.lock"]
