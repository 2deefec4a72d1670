"""A clone with ordinary services equals its manifest after they have run, and a change of
its code is still named.

It takes two inventories: when its tests have passed, and when its code was changed after that.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time

import pytest

from ingot.aws.instances.console import INVENTORY, TEST, all_lines, last_line, tail
from ingot.machines.alone import Hardware, booted_alone
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
LIMIT = 600  # seconds; the machine is emulated
RECIPE = """\
name: ordinary
base: {debian: bookworm}
root_volume: {size: 3GiB}
packages: [nginx, php-fpm, docker.io, procps, python3-flask]
groups: [{name: app, gid: 990}]
users: [{name: app, uid: 990, group: app}]
app: {source: app/, target: /srv/app, owner: app, group: app}
volatile: [/srv/uploads]
files:
  - {target: /srv/uploads/.keep, content: "", owner: app, group: app}
  - {target: /var/lib/app/run.py, content: "# code of the recipe below a directory of state\\n"}
  - target: /usr/local/sbin/tamper
    mode: "0755"
    content: |
      #!/bin/sh
      test ! -e /run/tampered || exit 0
      touch /run/tampered /usr/local/bin/new
      echo >>/var/lib/app/run.py
      echo >>/srv/app/lib.py
      systemctl start --no-block ingot-inventory.service
  - target: /etc/systemd/system/ingot-inventory.service.d/tamper.conf
    content: |
      [Service]
      ExecStopPost=/usr/local/sbin/tamper
  - target: /etc/systemd/system/app.service
    content: |
      [Service]
      User=app
      WorkingDirectory=/srv/app
      ExecStart=/usr/bin/python3 -m flask --app app run --port 8000
      [Install]
      WantedBy=multi-user.target
services: {enable: [app]}
tests:
  - {name: nginx, http: {path: /, contains: nginx}}
  - {name: the app, http: {path: /, port: 8000, contains: hello from lib}}
  - {name: php-fpm, service: php8.2-fpm}
  - {name: docker, command: docker info}
  - {name: an upload, command: echo x >/srv/uploads/one && rm /srv/uploads/.keep}
  - {name: state, command: mkdir -p /var/lib/app/data && echo x >/var/lib/app/data/one}
"""
APP = "import flask, lib\napp = flask.Flask(__name__)\n@app.get('/')\ndef page():\n    return lib.text\n"


@pytest.fixture(scope="module")
def image(baked_store, tmp_path_factory):
    place = tmp_path_factory.mktemp("recipes") / "ordinary"
    (place / "app").mkdir(parents=True)
    (place / "app" / "app.py").write_text(APP)
    (place / "app" / "lib.py").write_text("text = 'hello from lib'\n")
    (place / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(place)
    write_lock(recipe, resolve_lock(recipe))
    return baked_store.bake(recipe, logging.getLogger("bake").info)


@pytest.fixture(scope="module")
def inventories(image, tmp_path_factory):
    """The inventories of a clone that was booted for its tests, by their numbers."""
    directory = tmp_path_factory.mktemp("machine")
    disk = directory / "disk.raw"
    subprocess.run(["cp", "--sparse=always", image.disk, disk], check=True)
    with booted_alone(
        disk, directory, user_data={"ingot": {"test": True}}, hardware=Hardware(cpus=1)
    ) as machine:
        end, text, found = time.monotonic() + LIMIT, "", {}
        while 2 not in found and not machine.wait(0.5) and time.monotonic() < end:
            text = machine.console()[0].decode(errors="replace")
            found = {line["sequence"]: line for line in all_lines(text, INVENTORY)}
    results = last_line(text, TEST)
    assert results is not None, tail(text)
    assert [result for result in results["results"] if not result["ok"]] == [], tail(text)
    assert set(found) == {1, 2}, tail(text)
    return found


def test_it_equals_its_manifest(inventories, image):
    assert inventories[1]["differs"] == []
    assert inventories[1]["sections"] == image.manifest["inventory"]


def test_code_that_changed_is_named(inventories):
    assert inventories[2]["differs"] == [
        "/srv/app/lib.py changed",
        "/usr/local/bin/new added",
        "/var/lib/app/run.py changed",
    ]
