"""What a layer stands on, and how one is made on another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.bake.disk.index import LayerIndex
from ingot.bake.layers.foundation import foundation
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.rounds import contested
from ingot.bake.packages import database
from ingot.bake.packages.deb import Control, LockedDeb
from ingot.bake.tree.tree import Entry, Kind, hash_files, scan
from ingot.deb822 import parse_paragraph
from tests.baked import ROOT
from tests.specs import package

MIB = 1 << 20
# name: (size, depends, provides)
SYSTEM = {"libc": (3 * MIB, "", ""), "init": (MIB, "libc (>= 2), awk", ""), "mawk": (1000, "libc", "awk")}
RECIPE = {
    "python": (7 * MIB, "libc, libpython", ""),
    "libpython": (2 * MIB, "libc", ""),
    "server": (2 * MIB, "libssl | openssl, small-lib:any", ""),
    "libssl": (MIB, "libc", ""),
    "small-lib": (1000, "libc", ""),
    "less": (90000, "libc, libtinfo", ""),
    "libtinfo": (80000, "libc", ""),
}


def split(packages, system=("init", "libc", "mawk")):
    """Return the names below, sorted; None when there is no layer below."""
    entries = [package(name, size=size, essential=name == "mawk") for name, (size, *_) in packages.items()]
    entries.append(package("stub", role="tool"))
    controls = {name: control(depends=d, provides=p) for name, (_, d, p) in packages.items()}
    found = foundation(entries, system, controls)
    return None if found is None else sorted(entry.name for entry in found if entry.role == "install")


def control(**fields):
    text = "".join(f"{key.title()}: {value}\n" for key, value in fields.items() if value)
    return Control(text, parse_paragraph(text))


def test_what_every_image_has_stands_on_nothing():
    assert split(SYSTEM) is None
    assert split(SYSTEM | RECIPE, system=()) is None
    assert split(SYSTEM | RECIPE, system=("no-such-package",)) is None


def test_what_is_heavy_lies_below_what_is_light_with_all_that_it_needs():
    everything = SYSTEM | RECIPE
    without_tools = split(everything)
    assert set(everything) - set(without_tools) == {"less", "libtinfo"}
    without_servers = split({name: everything[name] for name in without_tools})
    assert set(without_servers) == {*SYSTEM, "python", "libpython"}
    assert split({name: everything[name] for name in without_servers}) == sorted(SYSTEM)


def test_a_tool_more_leaves_what_is_heavy_where_it_is():
    assert split(SYSTEM | RECIPE | {"jq": (300000, "libc", "")}) == split(SYSTEM | RECIPE)


def test_circles_stay_together():
    circle = {"a": (1000, "b", ""), "b": (9 * MIB, "a", ""), "c": (10, "a", "")}
    assert split(SYSTEM | circle) == sorted(SYSTEM)


def unpacked(name):
    return LockedDeb(name, "1", "all", Path(f"{name}.deb"))


def controlled(name, **members):
    text = f"Package: {name}\nVersion: 1\n"
    return Control(text, parse_paragraph(text), {k: (0o644, v.encode()) for k, v in members.items()})


def test_packages_are_entered_beside_those_that_are_there(tmp_path):
    database.create_database(tmp_path)
    first = controlled("bus", triggers="interest-noawait /usr/share/bus\ninterest cache\n")
    database.record(tmp_path, [(unpacked("bus"), first, ["/usr/share/bus"])])
    triggers = tmp_path / "var/lib/dpkg/triggers"
    assert (triggers / "Unincorp").read_text() == ""
    more = controlled("app", triggers="interest cache\ninterest /srv\n")
    database.record(tmp_path, [(unpacked("app"), more, ["/usr", "/usr/share/bus", "/usr/share/bus/app"])])
    assert (triggers / "File").read_text() == "/usr/share/bus bus/noawait\n/srv app\n"
    assert (triggers / "cache").read_text() == "app\nbus\n"
    # dpkg runs the triggers of what was there for the new files, and for nothing else.
    assert (triggers / "Unincorp").read_text() == "/usr/share/bus -\n"
    assert (tmp_path / "var/lib/dpkg/status").read_text().count("install ok unpacked") == 2


def test_a_trigger_names_the_architecture_of_a_package_that_may_be_there_twice(tmp_path):
    database.create_database(tmp_path)
    text = "Package: lib\nVersion: 1\nMulti-Arch: same\n"
    control = Control(
        text, parse_paragraph(text), {"triggers": (0o644, b"interest-noawait /usr/lib/modules\n")}
    )
    package = LockedDeb("lib", "1", "amd64", Path("lib.deb"))
    database.record(tmp_path, [(package, control, ["/usr/lib"])])
    assert (tmp_path / "var/lib/dpkg/triggers/File").read_text() == "/usr/lib/modules lib:amd64/noawait\n"


def test_packages_that_hold_what_is_there_are_found(tmp_path):
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/tool").write_text("x")
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/diversions").write_text("/usr/bin/other\n/usr/bin/other.mine\nbus\n")
    LayerIndex.of(hash_files(scan(root)), root, 0).save(tmp_path / "index")
    paths = {
        "plain": ["/bin", "/usr/bin", "/bin/new"],
        "same": ["/bin/tool"],
        "diverted": ["/usr/bin/other"],
    }
    assert contested(LowerLayer(tmp_path, 0), paths) == {"same", "diverted"}


GROW = """
import json, os, shutil, sys
from contextlib import closing
from pathlib import Path
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.disk.index import LayerIndex
from ingot.bake.layers.trees import GrownTree
one, two = map(Path, sys.argv[1:])
two.mkdir()
with closing(GrownTree(two, LowerLayer(one, 7), packages=True)) as tree:
    tree.mount()
    (tree.root / "first").write_text("of a try that was given up")
    tree.mount()
    root = tree.root
    (root / "changed").write_text("new")
    (root / "a/hard").chmod(0o600)
    (root / "a/gone").unlink()
    shutil.rmtree(root / "directory")
    (root / "directory").write_text("a file now")
    (root / "link").unlink()
    (root / "link").mkdir()
    (root / "link/file").write_text("x")
    shutil.rmtree(root / "anew")
    (root / "anew").mkdir(mode=0o700)
    os.setxattr(root / "a", "user.mark", b"y")
    LayerIndex.of(tree.entries(), two / "root", 7).save(two / "index")
    tree.finish()
print(json.dumps(sorted(path.name for path in two.iterdir())))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an overlay")
def test_a_tree_that_stands_on_another_is_whole_and_leaves_it_alone(tmp_path):
    below, grown = tmp_path / "one", tmp_path / "two"
    root = below / "root"
    for name in ("a", "directory/deep", "anew/deep", "same"):
        (root / name).mkdir(parents=True)
    for name in ("changed", "a/gone", "a/hard", "same/file", "directory/deep/file", "anew/deep/file"):
        (root / name).write_text(name)
    for name in ("b", "c"):
        (root / name).hardlink_to(root / "a/hard")
    (root / "link").symlink_to("same")
    LayerIndex.of(hash_files(scan(root)), root, 7).save(below / "index")
    before = hash_files(scan(root))
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", GROW, str(below), str(grown)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["index", "root"]
    assert hash_files(scan(root)) == before
    index = LayerIndex.load(grown / "index", grown / "root", 7)
    found = {entry.path: plain(entry) for entry in hash_files(scan(grown / "root"))}
    assert {path: plain(entry) for path, entry in index.items()} == found
    assert found.keys() == {
        "/",
        "/a",
        "/a/hard",
        "/anew",
        "/b",
        "/c",
        "/changed",
        "/directory",
        "/link",
        "/link/file",
        "/same",
        "/same/file",
    }
    assert index["/b"].group == index["/c"].group == "/b"
    assert index["/a"].xattrs == (("user.mark", b"y"),)
    # What did not change is there once.
    assert (grown / "root/same/file").stat().st_ino == (root / "same/file").stat().st_ino


def plain(entry: Entry) -> Entry:
    """The entry without what a layer keeps elsewhere: its file, its time, and the group,
    which names what the links show.
    """
    return entry._replace(source=None, mtime=0, size=0 if entry.kind is Kind.DIRECTORY else entry.size)
