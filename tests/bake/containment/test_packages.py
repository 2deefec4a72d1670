"""What the archives in packages can touch: the image's root, whatever their names, links and sizes."""

import gzip
import io
import json
import subprocess
import tarfile

import pytest

CONTROL = "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n"
EXTRACT = """
import json
from ingot.bake.packages import configure, database
from ingot.bake.packages.deb import LockedDeb, extract, read_control
from ingot.bake.runtime.sandbox import spawner
spawner()
for name in ("run", "opt", "var"):
    (root / name).mkdir()
(root / "var/run").symlink_to("/run")
order, limit, work = sys.argv[2].split(","), int(sys.argv[3]), sys.argv[4]
packages = [LockedDeb(name, "1", "all", place / f"{name}.deb", limit=limit) for name in order]
os.umask(0o022)
try:
    if work == "extract":
        print(json.dumps([extract(package, root) for package in packages]))
    else:
        controls = [read_control(package) for package in packages]
        database.create_database(root)
        extracted = [extract(package, root) for package in packages]
        database.record(root, zip(packages, controls, extracted))
        print(json.dumps([sorted(control.members) for control in controls]))
except (BakeError, OSError) as error:
    print(error)
"""


def member(name, **fields):
    """Return a tar's entry."""
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755 if fields.get("type") == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, type=kind, linkname=target)


def tar(entries):
    """Return a tar as dpkg-deb writes them; an entry with a content is a pair."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            entry, content = entry if isinstance(entry, tuple) else (entry, b"")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def deb(place, name, data, control=()):
    """Write a package: entries of its contents, or a whole tar; further entries of its control part.

    The format: deb(5).
    """
    data = data if isinstance(data, bytes) else tar(data)
    text = CONTROL.format(name=name).encode()
    parts = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", gzip.compress(tar([(member("./control"), text), *control]))),
        ("data.tar", data),
    ]
    with (place / f"{name}.deb").open("wb") as file:
        file.write(b"!<arch>\n")
        for part, content in parts:
            file.write(f"{part:<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))


@pytest.fixture
def unpack(engine):
    """Extract packages, in this order; return what was said."""

    def run(*names, limit=1 << 20, work="extract"):
        return engine(EXTRACT, ",".join(names), str(limit), work)

    run.home = engine.home
    run.root = engine.home / "layers/one/root"
    return run


@pytest.fixture
def outside(unpack):
    """A directory of the machine, which every user may write."""
    place = unpack.home / "outside"
    place.mkdir()
    place.chmod(0o777)
    (place / "victim").write_text("untouched")
    (place / "victim").chmod(0o666)
    yield place
    assert [path.name for path in place.iterdir()] == ["victim"]
    assert (place / "victim").read_text() == "untouched"
    assert (place / "victim").stat().st_nlink == 1


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("climbs", [False, True])
def test_a_link_of_one_package_leads_no_file_of_another_outside(unpack, outside, order, climbs):
    target = "../" * 20 + str(outside)[1:] if climbs else str(outside)
    deb(unpack.home, "a", [member("./opt/", type=tarfile.DIRTYPE), link("./opt/link", target)])
    deb(unpack.home, "b", [(member("./opt/link/pwned"), b"x"), (member("./opt/link/victim"), b"x")])
    unpack(*order)


def test_a_link_and_a_file_below_it_in_one_package(unpack, outside):
    deb(unpack.home, "a", [link("./opt/link", str(outside)), (member("./opt/link/pwned"), b"x")])
    unpack("a")


def test_the_links_of_the_image_lead_inside_it(unpack):
    deb(unpack.home, "a", [(member("./var/run/ingot-containment-test"), b"x")])
    assert json.loads(unpack("a")) == [["/var/run/ingot-containment-test"]]
    assert (unpack.root / "run/ingot-containment-test").read_text() == "x"
    assert (unpack.root / "var/run").is_symlink()


@pytest.mark.parametrize(
    "name", ["../../../../../../../../PLACE/pwned", "./a/../../../../../../../PLACE/pwned"]
)
def test_a_name_that_climbs_is_refused(unpack, outside, name):
    deb(unpack.home, "a", [(member(name.replace("/PLACE", str(outside))), b"x")])
    assert "leads out of its directory" in unpack("a")


def test_an_absolute_name_is_the_image_s(unpack, outside):
    deb(unpack.home, "a", [(member(f"{outside}/pwned"), b"x")])
    assert json.loads(unpack("a")) == [[f"{outside}/pwned"]]


@pytest.mark.parametrize("climbs", ["", "../../../../../../../.."])
def test_a_hard_link_to_a_file_outside(unpack, outside, climbs):
    deb(
        unpack.home,
        "a",
        [link("./opt/hard", f"{climbs}{outside}/victim", tarfile.LNKTYPE), (member("./opt/hard"), b"x")],
    )
    assert "cannot be unpacked" in unpack("a")


def test_a_hard_link_through_a_link_to_outside(unpack, outside):
    entries = [link("./opt/link", str(outside)), link("./opt/hard", "./opt/link/victim", tarfile.LNKTYPE)]
    deb(unpack.home, "a", entries)
    assert "No such file or directory" in unpack("a")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_is_refused(unpack, kind):
    deb(unpack.home, "a", [member("./opt/device", type=kind, devmajor=1, devminor=5)])
    assert "/opt/device is a device file, which no image has" in unpack("a")


def test_a_fifo_and_a_long_name_are_made(unpack):
    name = "./opt/" + "/".join(["d" * 90] * 3)
    deb(unpack.home, "a", [member("./opt/fifo", type=tarfile.FIFOTYPE), (member(name), b"x")])
    unpack("a")
    assert (unpack.root / "opt/fifo").is_fifo()
    assert (unpack.root / name).read_text() == "x"


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.XGLTYPE, b"M", b"V"])
def test_a_member_of_a_kind_that_dpkg_does_not_know_is_refused(unpack, kind):
    data = bytearray(tar([(member("./opt/file"), b"x")]))
    data[156:157] = kind
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    deb(unpack.home, "a", bytes(data))
    assert "is a member of an unknown kind" in unpack("a")


def test_a_bomb_ends_at_its_limit(unpack):
    """Zeros pack to a thousandth: what counts is what comes out."""
    tree = unpack.home / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(CONTROL.format(name="a"))
    with (tree / "bomb").open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(
        ["dpkg-deb", "-Zgzip", "--build", tree, unpack.home / "a.deb"], check=True, capture_output=True
    )
    assert (unpack.home / "a.deb").stat().st_size < 1 << 20
    assert "unpacked it is larger than 16 MiB" in unpack("a", limit=16 << 20)
    assert (unpack.root / "bomb").stat().st_size <= 16 << 20


def test_a_size_that_is_a_lie_is_damage(unpack):
    data = bytearray(tar([(member("./opt/file"), b"x")]))
    data[124:136] = b"\x80" + (1 << 60).to_bytes(11, "big")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    deb(unpack.home, "a", bytes(data))
    assert "its contents are damaged" in unpack("a")


@pytest.mark.parametrize(
    "entry",
    [
        (member("./../../../../../../pwned"), b"x"),
        (member("./sub/postinst"), b"x"),
        link("./postinst", "/etc/passwd"),
        link("./postinst", "./control", tarfile.LNKTYPE),
        member("./postinst", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        member("./postinst", type=tarfile.FIFOTYPE),
    ],
    ids=["climbs", "below", "symlink", "hard-link", "device", "fifo"],
)
def test_the_control_part_holds_plain_files_alone(unpack, entry):
    deb(unpack.home, "a", [], control=[entry])
    assert "in its control part is not a plain file" in unpack("a", work="record")


def test_the_control_part_has_a_limit(unpack):
    deb(unpack.home, "a", [], control=[(member("./postinst"), b"0" * (65 << 20))])
    assert "its control part is larger than 64 MiB" in unpack("a", work="record")


def test_a_trigger_is_no_path(unpack, outside):
    name = "../" * 20 + str(outside)[1:] + "/pwned"
    deb(unpack.home, "a", [], control=[(member("./triggers"), f"interest {name}\n".encode())])
    assert "has no name of a trigger" in unpack("a", work="record")


@pytest.mark.parametrize(
    "part", ["status", "triggers/File", "triggers/Unincorp", "diversions", "info/a.list"]
)
def test_a_link_in_place_of_a_part_of_dpkg_s_database(unpack, outside, part):
    deb(
        unpack.home,
        "a",
        [link(f"./var/lib/dpkg/{part}", f"{outside}/victim"), (member("./opt/x"), b"x")],
        control=[(member("./triggers"), b"interest /opt\n"), (member("./conffiles"), b"/opt/x\n")],
    )
    unpack("a", work="record")


def test_a_configuration_file_that_is_a_link_is_not_read_outside(unpack, outside):
    deb(
        unpack.home,
        "a",
        [link("./opt/x", f"{outside}/victim")],
        control=[(member("./conffiles"), b"/opt/x\n")],
    )
    assert "5a8f1a8ac5b9bd4f" not in unpack("a", work="record")
    assert not (unpack.root / "var/lib/dpkg/status").read_text()


@pytest.mark.parametrize("place", ["etc/dpkg/dpkg.cfg.d/ingot", "usr/sbin/policy-rc.d"])
def test_a_link_in_place_of_what_the_bake_itself_writes(engine, public, place):
    victim = engine.home / "victim"
    victim.write_text("untouched")
    victim.chmod(0o666)
    engine(
        f"""
from ingot.bake.packages import configure
mounts.unmount(root / "usr")
(root / "usr/sbin").mkdir()
(root / {place!r}).parent.mkdir(parents=True, exist_ok=True)
(root / {place!r}).symlink_to({str(victim)!r})
configure.drop_options(root, ["path-exclude=/usr/share/man/*"])
class Root:
    def run(self, *words, **more): pass
Root.root = root
configure.configure_all(Root())
"""
    )
    assert victim.read_text() == "untouched"


def test_accounts_behind_a_link_are_the_image_s(engine, public):
    outside = engine.home / "outside-etc"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "passwd").write_text("untouched:x:5:5::/:/bin/sh\n")
    engine(
        f"""
import shutil
from ingot.bake.image import accounts
shutil.rmtree(root / "etc")
(root / "etc").symlink_to({str(outside)!r})
assert accounts.ids(root, "passwd") == {{}}
"""
    )
    assert (outside / "passwd").read_text() == "untouched:x:5:5::/:/bin/sh\n"
