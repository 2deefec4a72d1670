"""An Express app behind nginx, from npm to an image: the layer, the bytes, the answer to a request."""

import logging
import os
import subprocess
import sys

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


def test_the_app_answers_over_http(baked_store, tmp_path):
    baked_store.bake(load_recipe(EXPRESS), logging.getLogger("bake").info)
    (tmp_path / "store").symlink_to(baked_store.root)
    command = [sys.executable, "-m", "ingot.cli.main", "boot", "express", "--once"]
    done = subprocess.run(
        [*command, "--recipes", str(EXPRESS.parent)],
        env={**os.environ, "INGOT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the app answers (from outside)" in done.stdout
