"""An Express app behind nginx, from npm to an image: the layer, the bytes, the answer to a request."""

import logging
import os

import pytest

from ingot.recipe.load import load_recipe
from ingot.store.sbom import sbom
from tests import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts"),
]
EXPRESS = ROOT / "examples" / "express" / "image_recipes" / "express"


def test_the_packages_run_and_are_the_same_from_nothing(baked_store):
    progress = logging.getLogger("bake").info
    image = baked_store.bake(load_recipe(EXPRESS), progress)
    paths = {file["path"]: file for file in image.manifest["files"]}
    assert paths["/srv/web/node_modules/express/index.js"]["layer"] == 2
    assert "/srv/web/node_modules/.package-lock.json" in paths
    assert not [path for path in paths if "/node_modules/npm/" in path]
    names = {one["name"]: one["version"] for one in image.manifest["dependencies"]}
    assert names["pkg:npm/express"] == "4.21.2"
    assert "pkg:npm/express@4.21.2" in sbom(image.manifest)
    with baked_store.baked_again(load_recipe(EXPRESS), progress) as again:
        assert again.manifest["disk"]["root_digest"] == image.root_digest
