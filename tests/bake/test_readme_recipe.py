"""The recipe that the README shows, as it stands there: it bakes, and its Apache takes its configuration."""

import logging
import os
import re

import pytest

from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import ROOT, baked_store

__all__ = ["baked_store"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root, beside root's store"),
]


def test_it_bakes_and_apache_takes_its_configuration(baked_store, tmp_path):
    [text] = re.findall(
        r"```yaml\n# image_recipes/shop/recipe.yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    directory = tmp_path / "shop"
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "index.html").write_text("<h1>The shop</h1>\n")
    (directory / "recipe.yaml").write_text(text + "steps: [apache2ctl configtest]\n")
    recipe = load_recipe(directory)
    write_lock(recipe, resolve_lock(recipe))
    image = baked_store.bake(recipe, logging.getLogger("bake").info)
    assert "apache2.service" in image.manifest["services"]["enabled"]
