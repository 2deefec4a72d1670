"""The distributions beside bookworm, each from its mirror's own index to a finished disk."""

import logging
import os

import pytest

from ingot.bake.disk import read_ext4
from ingot.recipe.distribution import distribution_of
from ingot.recipe.load import load_recipe
from ingot.recipe.lock import resolve_lock
from ingot.recipe.lockfile import write_lock
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
RECIPE = "name: small\nbase: {BASE}\nroot_volume: {size: 1GiB}\nsteps: [test -x /usr/bin/systemctl]\n"


def baked(base, store, tmp_path):
    """The image of a recipe with nothing but a base, and its lock."""
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "recipe.yaml").write_text(RECIPE.replace("BASE", base))
    recipe = load_recipe(directory)
    keyring = distribution_of(recipe).keyring
    if not keyring.is_file():
        pytest.skip(f"{keyring} is needed to verify the index")
    lock = resolve_lock(recipe)
    write_lock(recipe, lock)
    return store.bake(recipe, logging.getLogger("bake").info), lock


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


def test_ubuntu_noble(baked_store, tmp_path):
    image, lock = baked("ubuntu: noble", baked_store, tmp_path)
    assert {package.archive for package in lock.packages} == {"ubuntu"}
    system = image.manifest["os"]
    assert (system["id"], system["version_id"], system["codename"]) == ("ubuntu", "24.04", "noble")
    assert system["kernel"].endswith("-aws")
    assert "motd-news.timer" not in image.manifest["services"]["enabled"]
