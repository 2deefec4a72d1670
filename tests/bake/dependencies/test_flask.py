"""A Flask app with gunicorn, from PyPI to an image: the lock, the layer, the bytes."""

import json
import logging
import os
import shutil

import pytest

from ingot.pipeline.lock import lock
from ingot.progress import silent
from ingot.recipe.load import load_recipe
from ingot.store import Store
from ingot.store.sbom import sbom
from tests import ROOT
from tests.baked import WEB

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts"),
]
FLASK = ROOT / "examples" / "flask" / "image_recipes" / "flask"


def changed_blocks(one, other):
    before, after = (image.manifest["disk"]["blocks"] for image in (one, other))
    return sum(a != b for a, b in zip(before, after, strict=True))


def test_the_environment_runs_and_is_the_same_from_nothing(baked_store, tmp_path, monkeypatch):
    recipe = tmp_path / "image_recipes" / "flask"
    shutil.copytree(FLASK, recipe)
    # The packages of the web recipe's day: the store has them.
    shutil.copyfile(WEB / "recipe.lock", recipe / "recipe.lock")
    text = (recipe / "recipe.yaml").read_text()
    check = '"import app; assert b\\"Ingot\\" in app.app.test_client().get(\\"/\\").data"'
    run = (
        f"cd /srv/web/app && STATE_DIRECTORY=/tmp /srv/web/venv/bin/python -c {check} && "
        "/srv/web/venv/bin/gunicorn --version"
    )
    (recipe / "recipe.yaml").write_text(f"{text}steps:\n  - {json.dumps(run)}\n")
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "store").mkdir(parents=True)
    (tmp_path / "home" / "store" / "packages").symlink_to(baked_store.packages)
    locking = lock(load_recipe(recipe), silent)
    locking.write()
    store = Store(baked_store.root)
    progress = logging.getLogger("bake").info
    image = store.bake(load_recipe(recipe), progress)
    manifest = image.manifest
    paths = {file["path"]: file for file in manifest["files"]}
    assert paths["/srv/web/venv/bin/gunicorn"]["mode"] == "0755"
    assert not [path for path in paths if path.endswith(".pyc") and path.startswith("/srv/web")]
    assert not [path for path in paths if path.endswith("direct_url.json") or "/pip/" in path]
    names = {one["name"]: one["version"] for one in manifest["dependencies"]}
    assert names["pkg:pypi/flask"] == "3.1.0"
    assert "pkg:pypi/gunicorn@23.0.0" in sbom(manifest)
    with store.baked_again(load_recipe(recipe), progress) as again:
        assert again.manifest["disk"]["root_digest"] == image.root_digest
    (recipe / "app" / "app.py").write_text((recipe / "app" / "app.py").read_text() + "# changed\n")
    assert changed_blocks(image, store.bake(load_recipe(recipe), progress)) <= 4
