"""One real bake of image_recipes/web for all tests that need an image.

Import ``web_image`` in a conftest.py to use it.

``INGOT_TEST_STORE`` names a directory that keeps the store from run to run; without it, it lies in pytest's
own directory of this run.
"""

import hashlib
import logging
import os
import shutil
from pathlib import Path

import pytest

from ingot import paths
from ingot.locks import locked
from ingot.recipe.load import load_recipe
from ingot.store import Image, Store

ROOT = Path(__file__).parent.parent
WEB = ROOT / "image_recipes" / "web"


@pytest.fixture(scope="session")
def baked_store(tmp_path_factory) -> Store:
    """A store that all tests (and all workers of pytest-xdist) share: bakes of the same
    image wait for each other.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    kept = Path(os.environ.get("INGOT_TEST_STORE") or shared / "ingot-test-store")
    # An engine that was edited must not find the images of the old one: its version of the recipe digest
    # moves at a release only.
    store = Store(kept / _engine())
    store.root.mkdir(parents=True, exist_ok=True)
    (kept / "packages").mkdir(exist_ok=True)
    with locked(kept / "packages.lock", waiting=lambda: None):
        if not store.packages.is_symlink():
            store.packages.symlink_to(kept / "packages")
        _link_packages(store)
    return store


def _engine() -> str:
    files = [
        file for file in sorted((ROOT / "ingot/bake").rglob("*")) if file.is_file() and file.suffix != ".pyc"
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[
        :12
    ]


@pytest.fixture(scope="session")
def web_image(baked_store) -> Image:
    """The image of image_recipes/web as it is now."""
    if os.geteuid() != 0 and shutil.which("newuidmap") is None:
        pytest.skip("a bake needs root, or user namespaces and newuidmap")
    return baked_store.bake(load_recipe(WEB), logging.getLogger("bake").info)


def _link_packages(store: Store) -> None:
    """Take what the machine's own store has, so that a test run does not load the mirror."""
    for package in (paths.store() / "packages").glob("??/*.deb"):
        target = store.packages / package.parent.name / package.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(package.read_bytes())
