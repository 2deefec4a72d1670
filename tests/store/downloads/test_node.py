"""npm packages from the machine's registry: what is kept, and what is said when npm refuses."""

import shutil

import pytest

from ingot.errors import IngotError
from ingot.progress import silent
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.node import npm_files
from ingot.store.downloads.node import fetch_again, lock_node
from tests import ROOT

pytestmark = pytest.mark.slow
EXPRESS = ROOT / "examples" / "express" / "image_recipes" / "express"


def test_every_archive_is_kept_by_its_digest_and_can_be_fetched_again(tmp_path):
    recipe = load_recipe(EXPRESS)
    locked = lock_node(recipe, {"nodejs": "18.20"}, None, tmp_path / "packages", silent)
    assert {"express", "body-parser"} <= {package.name for package in locked.packages}
    assert locked.installer.name == "npm"
    kept = {file.name for file in (tmp_path / "packages").rglob("*") if file.is_file()}
    assert kept == {package.sha256 for package in (*locked.packages, locked.installer)}
    assert lock_node(recipe, {"nodejs": "18.20"}, locked, tmp_path / "packages", silent) is locked
    spec = compile_spec(recipe)
    assert [package.sha256 for package in locked.packages] == [p.sha256 for p in spec.node.packages]
    shutil.rmtree(tmp_path / "packages")
    fetch_again(spec.node, "x86_64", tmp_path / "packages")
    assert {file.name for file in (tmp_path / "packages").rglob("*") if file.is_file()} == kept


def test_a_package_with_another_content_is_npms_to_refuse(tmp_path):
    directory = tmp_path / "image_recipes" / "express"
    shutil.copytree(EXPRESS, directory)
    file = directory / "package-lock.json"
    integrity = npm_files(load_recipe(EXPRESS)).lock.partition('"integrity": "sha512-')[2][:8]
    file.write_text(file.read_text().replace(f"sha512-{integrity}", "sha512-AAAAAAAA", 1))
    with pytest.raises(IngotError, match=r"npm cannot fetch the packages of .*package-lock.json") as caught:
        lock_node(load_recipe(directory), {"nodejs": "18.20"}, None, tmp_path / "packages", silent)
    assert "EINTEGRITY" in str(caught.value)
