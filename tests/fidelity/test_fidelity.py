"""The disk of a bake against what apt and dpkg make of the same package files, for sets of packages.

``INGOT_FIDELITY=all`` (``make fidelity``) takes all sets; otherwise those of :data:`QUICK`.
"""

import logging
import os

import pytest

from ingot.bake.disk import read_ext4
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.bake.test_distributions import ubuntu_keyring
from tests.baked import baked_store
from tests.fidelity.compare import Side, differences
from tests.fidelity.intended import rows
from tests.fidelity.peer import bootstrap, entries
from tests.fidelity.sets import NOBLE, QUICK, SETS

__all__ = ["baked_store", "ubuntu_keyring"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the owners are root's to give"),
]
RECIPE = """\
name: NAME
base: {BASE}
root_volume: {size: 3GiB}
packages: [PACKAGES]
drop: {docs: false, man: false, locales: false, hwdb: false}
"""
CHOSEN = tuple(SETS) if os.environ.get("INGOT_FIDELITY") == "all" else QUICK


@pytest.mark.parametrize("name", CHOSEN)
def test_a_disk_holds_what_dpkg_makes_of_its_packages(name, baked_store, request, tmp_path):
    chosen = SETS[name]
    if chosen.base == NOBLE:
        request.getfixturevalue("ubuntu_keyring")
    text = RECIPE.replace("NAME", name).replace("BASE", chosen.base).replace("PACKAGES", chosen.packages)
    directory = tmp_path / name
    directory.mkdir()
    (directory / "recipe.yaml").write_text(text)
    recipe = load_recipe(directory)
    lock = resolve_lock(recipe)
    write_lock(recipe, lock)
    image = baked_store.bake(recipe, logging.getLogger("bake").info)
    tree = bootstrap(lock, baked_store.packages, tmp_path)
    theirs, contents = entries(tree)
    with read_ext4(image.disk) as reader:
        ours = {entry.path: entry for entry in reader.entries()}
        found = list(differences(Side(ours, reader.read), Side(theirs, contents.__getitem__)))
    table = rows()
    faults = [f"{path}: {what}" for path, what in found if not any(row.covers(path, what) for row in table)]
    assert not faults, "\n".join(faults)
