"""A package whose scripts want a name of the machine, ask questions and make databases: postfix."""

import logging
import os

import pytest

from ingot.bake.disk import read_ext4
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
RECIPE = """\
name: mail
base: {debian: bookworm}
root_volume: {size: 1GiB}
packages: [postfix]
debconf:
  - {package: postfix, question: postfix/main_mailer_type, type: select, value: Satellite system}
  - {package: postfix, question: postfix/relayhost, value: "[smtp.example.com]:587"}
  - {package: postfix, question: postfix/chattr, type: boolean, value: false}
files:
  - {target: /etc/postfix/transport, content: "example.com smtp:\\n"}
steps: [postmap /etc/postfix/transport]
"""


def test_postfix_bakes_to_the_same_bytes_and_names_no_machine(baked_store, tmp_path):
    directory = tmp_path / "mail"
    directory.mkdir()
    (directory / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(directory)
    write_lock(recipe, resolve_lock(recipe))
    image = baked_store.bake(recipe, logging.getLogger("bake").info)
    with read_ext4(image.disk) as reader:
        settings = reader.read("/etc/postfix/main.cf").decode()
        assert "relayhost = [smtp.example.com]:587" in settings
        assert "myhostname =" not in settings
        paths = {entry.path for entry in reader.entries(hashes=False)}
        assert {"/etc/aliases", "/etc/postfix/transport.db"} <= paths
        assert "/etc/aliases.db" not in paths, "it has the time and the bake's host name"
    with baked_store.baked_again(recipe, logging.getLogger("bake").info) as again:
        assert again.manifest["disk"]["root_digest"] == image.manifest["disk"]["root_digest"]
