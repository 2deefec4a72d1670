"""The includes whose packages are in Debian's archive: locked, baked, with what they enable."""

import logging
import os

import pytest

from ingot.pipeline.lock import lock
from ingot.progress import silent
from ingot.recipe.load import load_recipe
from ingot.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts"),
]
RECIPE = """name: watched
base: {debian: bookworm}
root_volume: {size: 1GiB}
include: ["ingot:node-exporter", "ingot:rsyslog", "ingot:comfort"]
"""


def test_they_bring_their_packages_services_and_tests(baked_store, tmp_path):
    directory = tmp_path / "image_recipes" / "watched"
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(RECIPE)
    lock(load_recipe(directory), silent).write()
    image = Store(baked_store.root).bake(load_recipe(directory), logging.getLogger("bake").info)
    manifest = image.manifest
    packages = {package["name"] for package in manifest["packages"]}
    assert {"prometheus-node-exporter", "rsyslog", "logrotate", "curl"} <= packages
    enabled = set(manifest["services"]["enabled"])
    assert {"prometheus-node-exporter.service", "rsyslog.service", "logrotate.timer"} <= enabled
    assert [test["name"] for test in manifest["tests"]] == [
        "node_exporter tells its metrics", "rsyslog runs", "logs are turned over",
    ]  # fmt: skip
