"""The distributions beside bookworm, each from its mirror's own index to a finished disk."""

import hashlib
import logging
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from ingot.bake.disk import read_ext4
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.mirrors import discover
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
# Debian 12 has no package with Ubuntu's keys. This is noble's own, by its hash.
KEYRING = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
KEYRING_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
RECIPE = "name: small\nbase: {BASE}\nroot_volume: {size: 1GiB}\nsteps: [test -x /usr/bin/systemctl]\n"


def baked(base, store, tmp_path, more=""):
    """The image of a recipe with a base and ``more``, and its lock."""
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "recipe.yaml").write_text(RECIPE.replace("BASE", base) + more)
    recipe = load_recipe(directory)
    lock = resolve_lock(recipe)
    write_lock(recipe, lock)
    return store.bake(recipe, logging.getLogger("bake").info), lock


@pytest.fixture
def ubuntu_keyring(tmp_path, monkeypatch):
    """Ubuntu's keys, where the machine has them not."""
    known = Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg")
    if known.is_file():
        return
    mirror = discover({"id": "ubuntu", "suite": "noble"})["ubuntu"]
    with urllib.request.urlopen(f"{mirror}/{KEYRING}", timeout=60) as answer:
        package = answer.read()
    assert hashlib.sha256(package).hexdigest() == KEYRING_SHA256
    (tmp_path / "keyring.deb").write_bytes(package)
    subprocess.run(["dpkg-deb", "--extract", "keyring.deb", "keyring"], cwd=tmp_path, check=True)
    monkeypatch.setenv("INGOT_KEYRING", str(tmp_path / "keyring" / known.relative_to("/")))


def hold_what_every_image_has(image):
    """The root that fstab wants checked (pass 1) can be; the kernel's symbols are for root alone."""
    with read_ext4(image.disk) as reader:
        entries = {entry.path: entry for entry in reader.entries(hashes=False)}
        assert reader.read("/etc/fstab").split()[-1] == b"1"
        assert {"/usr/sbin/fsck", "/usr/sbin/fsck.ext4", "/usr/sbin/e2fsck"} <= entries.keys()
        assert b"fs.suid_dumpable = 0" in reader.read("/usr/lib/sysctl.d/60-ingot.conf")
    modes = {entry.mode & 0o777 for path, entry in entries.items() if path.startswith("/boot/System.map-")}
    assert modes == {0o600}


def test_debian_trixie(baked_store, tmp_path):
    image, lock = baked("debian: trixie", baked_store, tmp_path)
    assert {package.suite for package in lock.packages} <= {"trixie", "trixie-updates", "trixie-security"}
    system = image.manifest["os"]
    assert (system["id"], system["version_id"], system["codename"]) == ("debian", "13", "trixie")
    assert "+deb13" in system["kernel"]
    with read_ext4(image.disk) as reader:
        entries = {entry.path: entry for entry in reader.entries(hashes=False)}
        assert entries["/lib64"].link == "usr/lib64"
        assert entries[f"/boot/vmlinuz-{system['kernel']}"].size > 1 << 20
        # The guards of the merged /usr that trixie's own packages set up: dpkg-divert(1).
        assert b"/lib64/ld-linux-x86-64.so.2.usr-is-merged" in reader.read("/var/lib/dpkg/diversions")
    hold_what_every_image_has(image)


def test_ubuntu_noble(baked_store, ubuntu_keyring, tmp_path):
    image, lock = baked("ubuntu: noble", baked_store, tmp_path)
    assert {package.archive for package in lock.packages} == {"ubuntu"}
    system = image.manifest["os"]
    assert (system["id"], system["version_id"], system["codename"]) == ("ubuntu", "24.04", "noble")
    assert system["kernel"].endswith("-aws")
    assert "motd-news.timer" not in image.manifest["services"]["enabled"]
    hold_what_every_image_has(image)
