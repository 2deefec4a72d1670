"""The upper layer has nothing of the directory that the store lies in, nor of this machine's files."""

import os
import struct
import subprocess
import sys

import pytest

from ingot.bake.layers.disk import disk_spec
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.trees import FirstTree
from ingot.bake.layers.upper import read_contents
from ingot.bake.tree.inventory import READ
from ingot.bake.tree.tree import scan
from tests.baked import ROOT
from tests.specs import bake_spec

# acl(5) as the kernel stores it (linux/posix_acl_xattr.h): version 2, then tag, permissions and id of each
# entry.
NOBODY = 0xFFFFFFFF
ENTRIES = ((1, 7, NOBODY), (2, 7, 33), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY))
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in ENTRIES)
OVERLAY = """
import sys
from pathlib import Path
from ingot.bake.tree.tree import scan
from ingot.bake.layers.overlay import Overlay
lower, work = map(Path, sys.argv[1:])
overlay = Overlay(lower, work)
overlay.mount()
(overlay.root / "made").mkdir()
(overlay.root / "old").chmod(0o700)
print([(e.path, f"{e.mode:o}", e.uid, e.gid, e.xattrs) for e in scan(overlay.upper)])
overlay.unmount()
"""


@pytest.fixture
def store(tmp_path):
    """A directory whose group and rights all that is made in it inherits."""
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, 0, 33)
    store.chmod(0o2775)
    os.setxattr(store, "system.posix_acl_default", ACL)
    return store


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an overlay")
def test_the_root_inherits_nothing_from_the_store(store):
    lower, work = store / "lower", store / "work"
    for directory in (lower, work):
        directory.mkdir()
    (lower / "old").mkdir()
    for place in (lower / "old", lower):
        os.chown(place, 0, 0)
        place.chmod(0o755)
        os.removexattr(place, "system.posix_acl_default")
        os.removexattr(place, "system.posix_acl_access")
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", OVERLAY, str(lower), str(work)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [("/", "755", 0, 0, ()), ("/made", "755", 0, 0, ()), ("/old", "700", 0, 0, ())]
    assert done.stdout == f"{found}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another group")
def test_nor_does_the_root_of_the_first_layer(store):
    tree = FirstTree(store / "layer", "x86_64")
    tree.mount()
    assert {(entry.gid, entry.xattrs) for entry in scan(tree.root)} == {(0, ())}


def test_links_to_this_machines_files_are_followed_inside_the_image(tmp_path):
    root, host = tmp_path / "root", tmp_path / "host"
    for path in (*READ, "/boot/vmlinuz-6.1", "/usr/lib/modules/6.1/modules.dep"):
        place = root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("the image's")
    for top in (host, root / str(host)[1:]):
        (top / "modules/6.1").mkdir(parents=True)
        for name in ("release", "kernel"):
            (top / name).write_text("this machine's" if top == host else "the image's")
    for path, target in (("etc/os-release", "release"), ("boot/vmlinuz-6.1", "kernel")):
        (root / path).unlink()
        (root / path).symlink_to(host / target)
    assert set(read_contents(root, READ).values()) == {b"the image's"}
    layer = tmp_path / "layer"
    for tool in ("bin/busybox", "usr/lib/systemd/boot/efi/linuxx64.efi.stub"):
        (layer / "tools" / tool).parent.mkdir(parents=True, exist_ok=True)
        (layer / "tools" / tool).touch()
    spec = disk_spec(bake_spec(), LowerLayer(layer, 0), root)
    assert spec.os_release == "the image's"
    assert spec.kernel.read_text() == "the image's"
    assert spec.kernel_version == "6.1"
