"""A Flask app with gunicorn, from PyPI to an image: the lock, the layer, the bytes."""

import json
import logging
import os
import re
import shutil

import pytest

from ingot.bake.disk import read_ext4
from ingot.errors import BakeError
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
# The app as it is in the image, beside a server that takes its password alone: in a stage, for the image has
# no server.
PROOF = r"""
stages:
  proof:
    packages: [python3, postgresql]
    python: {requirements: requirements.txt, target: /srv/web/venv}
    app: {source: app/, target: /srv/web/app}
    steps:
      - mkdir -p /out /run/ingot/secrets && echo not-a-secret > /run/ingot/secrets/database-password
      - |
        cd /var/lib/postgresql && server=/usr/lib/postgresql/15/bin
        runuser -u postgres -- $server/initdb --pgdata proof --auth scram-sha-256 \
          --pwfile /run/ingot/secrets/database-password
        runuser -u postgres -- $server/pg_ctl --pgdata proof --wait --log proof.log \
          --options "-c listen_addresses=127.0.0.1 -c unix_socket_directories=/var/lib/postgresql" start
        cd /srv/web/app
        export DATABASE="host=127.0.0.1 user=postgres dbname=postgres"
        printf not-a-secret > /run/ingot/secrets/database-password
        /srv/web/venv/bin/python ask.py > /out/answer
        runuser -u postgres -- $server/pg_ctl --pgdata /var/lib/postgresql/proof --mode immediate stop
"""
ANSWER = "{from: proof, source: /out/answer, target: /usr/share/proof}"
ASK = """
import app, psycopg

client = app.app.test_client()
answers = [client.get("/").get_data(as_text=True) for _ in range(3)]
with psycopg.connect(app.os.environ["DATABASE"], password="not-a-secret") as connection:
    assert connection.execute("select count(*) from visits").fetchone() == (3,)
try:
    psycopg.connect(app.os.environ["DATABASE"], password="another")
except psycopg.OperationalError:
    print(answers[-1], end="")
"""


def changed_blocks(one, other):
    before, after = (image.manifest["disk"]["blocks"] for image in (one, other))
    return sum(a != b for a, b in zip(before, after, strict=True))


def test_the_environment_runs_with_a_real_postgresql_server_and_is_the_same_from_nothing(
    baked_store, tmp_path, monkeypatch
):
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
    text = text.replace("\nfiles:\n", f"\n{PROOF}\nfiles:\n  - {ANSWER}\n", 1)
    (recipe / "recipe.yaml").write_text(f"{text}steps:\n  - {json.dumps(run)}\n")
    (recipe / "app" / "ask.py").write_text(ASK)
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
    with read_ext4(image.disk) as disk:
        assert disk.read("/usr/share/proof") == b"Flask on Ingot, image unknown, visit 3\n"
    assert not [path for path in paths if path.startswith("/usr/lib/postgresql/")]
    names = {one["name"]: one["version"] for one in manifest["dependencies"]}
    assert names["pkg:pypi/flask"] == "3.1.0"
    assert "pkg:pypi/gunicorn@23.0.0" in sbom(manifest)
    with store.baked_again(load_recipe(recipe), progress) as again:
        assert again.manifest["disk"]["root_digest"] == image.root_digest
    (recipe / "app" / "app.py").write_text((recipe / "app" / "app.py").read_text() + "# changed\n")
    assert changed_blocks(image, store.bake(load_recipe(recipe), progress)) <= 4


def test_packages_that_do_not_go_together_are_named(baked_store, tmp_path, monkeypatch):
    recipe = tmp_path / "image_recipes" / "flask"
    shutil.copytree(FLASK, recipe)
    shutil.copyfile(WEB / "recipe.lock", recipe / "recipe.lock")
    wanted = (recipe / "requirements.txt").read_text()
    (recipe / "requirements.txt").write_text(
        re.sub(r"^packaging==.*\n(?: .*\n)*", "", wanted, flags=re.MULTILINE)
    )
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "store").mkdir(parents=True)
    (tmp_path / "home" / "store" / "packages").symlink_to(baked_store.packages)
    lock(load_recipe(recipe), silent).write()
    said = (
        r"do not go together: exit status \d+\n +gunicorn 23.0.0 requires packaging, which is not installed"
    )
    with pytest.raises(BakeError, match=said):
        baked_store.bake(load_recipe(recipe), logging.getLogger("bake").info)
