"""The diff of real images: image_recipes/web, and the same with another app."""

import logging
import shutil
import subprocess

import pytest

from ingot.diff.compare import image_diff
from ingot.diff.sides.rebuild import NOT_REBUILT, rebuild_manifest
from ingot.recipe.load import load_recipe
from ingot.report.diff.text import render_text
from tests.baked import WEB, baked_store, web_image

__all__ = ["baked_store", "web_image"]
pytestmark = pytest.mark.slow


def without(mapping, keys):
    return {key: value for key, value in mapping.items() if key not in keys}


def test_the_manifest_is_made_again_from_the_disk(web_image, tmp_path):
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", web_image.disk, disk], check=True)
    found, baked = rebuild_manifest(disk, "web", "x86_64"), web_image.manifest
    # No disk tells these: files of the store, the lock's time.
    unknown = (*NOT_REBUILT, "packages", "package_files", "epoch", "files")
    assert without(found, unknown) == without(baked, unknown)
    # The image's own list of what the recipe changed leaves out what a clone may change, too.
    pairs = list(zip(found["files"], baked["files"], strict=True))
    assert [one for one, other in pairs if without(one, ["layer"]) != without(other, ["layer"])] == []
    assert [one["path"] for one, other in pairs if one.get("layer", 0) > other.get("layer", 0)] == []
    assert found["packages"] == [without(package, ("sha256",)) for package in baked["packages"]]


def test_another_app_is_all_that_differs(web_image, baked_store, tmp_path):
    recipe = tmp_path / "web"
    shutil.copytree(WEB, recipe)
    app = recipe / "app/wsgi.py"
    app.write_text(app.read_text().replace("one of many", "one of a great many"))
    other = baked_store.bake(load_recipe(recipe), logging.getLogger("bake").info)
    diff = image_diff(web_image.manifest, other.manifest, before_disk=web_image.disk, after_disk=other.disk)
    assert {change.path for change in diff.files if change.origin != "bookkeeping"} == {"/srv/web/wsgi.py"}
    assert diff.dangerous == []
    assert diff.blocks.differing <= 20
    assert "+<p>This page comes from a clone, one of a great many, all exactly the same.</p>" in render_text(
        diff
    )
