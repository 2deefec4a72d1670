"""Artifacts put into a tree, hostile ones among them: what is made, and that nothing leads out of it."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from ingot.bake.dependencies.artifacts import put_artifacts
from ingot.errors import BakeError
from ingot.spec import GroupSpec, UserSpec
from tests.specs import bake_spec

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes its root directory")


def tar(*members, compression="gz"):
    """A tar of (name, content or bytes of a header's kind, fields)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as archive:
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            for key, value in fields.items():
                setattr(info, key, value)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def file(name, content=b"x", **fields):
    return name, content, {"mode": 0o644, **fields}


def link(name, target, kind=tarfile.SYMTYPE):
    return name, b"", {"type": kind, "linkname": target}


def directory(name):
    return name, b"", {"type": tarfile.DIRTYPE, "mode": 0o777}


@pytest.fixture
def put(root, tmp_path, artifact):
    """Put an artifact into the tree, for a recipe with the user and group app."""

    def put_one(data, size=1 << 30, **fields):
        spec = bake_spec(
            artifacts=(artifact(data, **fields),),
            root_volume_size=size,
            users=(UserSpec("app", 990, "app"),),
            groups=(GroupSpec("app", 991),),
        )
        put_artifacts(root, spec, tmp_path / "packages")

    return put_one


def entries(top):
    """What is below a directory: names with kinds, modes and owners."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(top))] = (stat.filemode(status.st_mode), status.st_uid, status.st_gid)
    return found


def test_a_file_is_copied_with_its_owner_and_mode(put, root):
    put(b"jar", target="/srv/app/app.jar", mode="0640", owner="app", group="www-data")
    assert (root / "srv/app/app.jar").read_bytes() == b"jar"
    assert entries(root / "srv") == {"app": ("drwxr-xr-x", 0, 0), "app/app.jar": ("-rw-r-----", 990, 33)}


def test_it_replaces_the_file_of_a_package(put, root):
    (root / "opt").mkdir()
    (root / "opt/tool").write_text("old")
    os.link(root / "opt/tool", root / "opt/other name")
    put(b"new")
    assert (root / "opt/tool").read_text() == "new"
    assert (root / "opt/other name").read_text() == "old"


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_a_tar_is_unpacked_whatever_it_is_compressed_by(put, root, compression):
    members = [
        directory("tool-1.0"), directory("tool-1.0/bin"),
        file("tool-1.0/bin/tool", b"program", mode=0o4777, uid=7, gid=7), file("tool-1.0/deep/er/text"),
        link("tool-1.0/tool", "bin/tool"), link("tool-1.0/bin/again", "tool-1.0/bin/tool", tarfile.LNKTYPE),
        file("README"),
    ]  # fmt: skip
    put(tar(*members, compression=compression), unpack="tar", strip=1, owner="app", group="app")
    assert entries(root / "opt/tool") == {
        "bin": ("drwxr-xr-x", 990, 991),
        "bin/again": ("-rwxr-xr-x", 990, 991),
        "bin/tool": ("-rwxr-xr-x", 990, 991),
        "deep": ("drwxr-xr-x", 990, 991),
        "deep/er": ("drwxr-xr-x", 990, 991),
        "deep/er/text": ("-rw-r--r--", 990, 991),
        "tool": ("lrwxrwxrwx", 990, 991),
    }
    assert (root / "opt/tool/tool").read_text() == "program"
    assert (root / "opt/tool/bin/again").stat().st_nlink == 2


def test_a_zip_is_unpacked_with_its_links_and_modes(put, root):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in (
            ("bin/tool", "program", 0o100755), ("text", "plain", 0), ("link", "bin/tool", 0o120777),
            ("grüße", "x", 0o100644), ("empty/", "", 0o040755),
        ):  # fmt: skip
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system = mode << 16, 3
            archive.writestr(info, content)
    put(packed.getvalue(), unpack="zip")
    assert entries(root / "opt/tool") == {
        "bin": ("drwxr-xr-x", 0, 0),
        "bin/tool": ("-rwxr-xr-x", 0, 0),
        "empty": ("drwxr-xr-x", 0, 0),
        "grüße": ("-rw-r--r--", 0, 0),
        "link": ("lrwxrwxrwx", 0, 0),
        "text": ("-rw-r--r--", 0, 0),
    }


HOSTILE = [
    (tar(file("../out")), r"the name ../out leads out of the archive"),
    (tar(file("a/../../out")), r"leads out of the archive"),
    (tar(file("/etc/passwd")), r"the name /etc/passwd is absolute"),
    (tar(link("etc", "/etc"), file("etc/passwd")), r"etc is a link out of the archive, to /etc"),
    (tar(link("up", "../../etc")), r"up is a link out of the archive, to ../../etc"),
    (tar(directory("a"), link("a/b", "../../x")), r"a/b is a link out of the archive"),
    (tar(directory("d"), link("l", "d"), file("l/x")), r"is a link of the archive, and a directory of it"),
    (tar(link("hard", "../../etc/passwd", tarfile.LNKTYPE)), r"leads out of the archive"),
    (tar(link("hard", "none", tarfile.LNKTYPE)), r"No such file"),
    (tar(("sda", b"", {"type": tarfile.BLKTYPE, "devmajor": 8})), r"sda is a device file"),
    (tar(("tty", b"", {"type": tarfile.CHRTYPE, "devmajor": 5})), r"tty is a device file"),
    (tar(("pipe", b"", {"type": tarfile.FIFOTYPE})), r"pipe is a FIFO"),
    (tar(file("a\nb")), r"a line break or a zero in it"),
    (b"no archive at all" * 100, r"its contents are damaged"),
    (tar(file("a", os.urandom(100_000)))[:50_000], r"its contents are damaged"),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE, ids=[message for _, message in HOSTILE])
def test_a_hostile_tar_is_refused_and_touches_nothing_outside(put, root, data, message):
    before = (root / "etc/passwd").read_text()
    with pytest.raises(BakeError, match=message) as caught:
        put(data, unpack="tar")
    assert "the artifact https://example.com/tool.tar.gz cannot be unpacked: " in str(caught.value)
    assert (root / "etc/passwd").read_text() == before
    assert {path.name for path in root.iterdir()} <= {"etc", "opt"}


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a\\..\\..\\out"])
def test_a_hostile_zip_is_refused(put, root, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(BakeError, match=r"absolute|leads out"):
        put(packed.getvalue(), unpack="zip")


def bomb(size):
    """A tar of one file of zeros, packed to a thousandth."""
    return tar(file("zeros", bytes(size)))


def zip_bomb(size):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(size))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("kind", "packed"), [("tar", bomb(32 << 20)), ("zip", zip_bomb(32 << 20))], ids=["tar", "zip"]
)
def test_a_bomb_ends_at_the_size_of_the_root_volume(put, kind, packed):
    assert len(packed) < 64 << 10
    with pytest.raises(BakeError, match=r"it is larger than the root volume \(16 MiB\)"):
        put(packed, unpack=kind, size=16 << 20)


def test_a_decompressor_that_wants_all_memory_is_stopped(put):
    # A PAX header that says it has 8 GiB: tarfile reads headers whole.
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    packed = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(BakeError, match=r"more than 2 GiB of memory|its contents are damaged"):
        put(packed, unpack="tar")


def test_strip_that_leaves_nothing_is_an_error(put):
    with pytest.raises(BakeError, match="strip: 3 leaves nothing of its 1 members"):
        put(tar(file("a/b")), unpack="tar", strip=3)


def test_a_target_below_a_link_to_what_does_not_last_is_refused(put, root):
    (root / "srv").symlink_to("run")
    (root / "run").mkdir()
    with pytest.raises(BakeError, match="a link of the image leads to /run, where nothing lasts"):
        put(b"x", target="/srv/app.jar")


def test_a_link_of_the_image_leads_inside_it(put, root):
    (root / "elsewhere-in-the-image").mkdir()
    (root / "link").symlink_to("/elsewhere-in-the-image")
    put(b"x", target="/link/file")
    assert (root / "elsewhere-in-the-image/file").read_text() == "x"


def test_an_owner_that_nobody_declares_is_named(put):
    with pytest.raises(BakeError, match="/opt/tool: there is no user nobody-knows in the image"):
        put(b"x", owner="nobody-knows")
