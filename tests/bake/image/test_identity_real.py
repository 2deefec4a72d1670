"""Servers that make keys, ids and databases when they are installed: baked twice to the
same bytes, and two clones compared.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time

import pytest

from ingot.bake.disk import read_ext4
from ingot.machines.alone import Hardware, booted_alone
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
LIMIT = 1800  # seconds; two database clusters are made, and the machine is emulated, perhaps beside others
# What each clone has of its own; of the databases, what names the cluster.
FACTS = {
    "ssh": "cat /etc/ssh/ssh_host_ed25519_key.pub",
    "certificate": "cat /etc/ssl/private/ssl-cert-snakeoil.key",
    "rndc": "cat /etc/bind/rndc.key",
    "initiator": "cat /etc/iscsi/initiatorname.iscsi",
    "cluster": (
        "/usr/lib/postgresql/15/bin/pg_controldata -D /var/lib/postgresql/15/main | grep 'system identifier'"
    ),
    "databases": "head -c 52 /var/lib/mysql/aria_log_control",
    "popularity": "grep MY_HOSTID /etc/popularity-contest.conf",
}
UNITS = ("ingot-identity", "ssh", "postgresql@15-main", "mariadb", "named")
RECIPE = """\
name: own
base: {debian: bookworm}
root_volume: {size: 4GiB}
packages: [
  openssh-server, bind9, open-iscsi, popularity-contest, fake-hwclock, postgresql, mariadb-server, ssl-cert,
  nvme-cli]
files:
  - target: /usr/local/sbin/facts
    mode: "0755"
    content: |
      #!/bin/sh
      set -eu
      facts=
FACTS
      # Twice: another program's line may tear the first one.
      for time in 1 2; do printf '\\r\\nfacts %s.\\r\\n' "$facts" >/dev/ttyS0; sleep 1; done
tests:
SERVICES
  - {name: facts, command: /usr/local/sbin/facts}
"""


def recipe_text() -> str:
    lines = [
        f'      facts="$facts,{name}=$({command} | sha256sum | cut -c1-64)"'
        for name, command in FACTS.items()
    ]
    services = [f"  - {{name: {unit}, service: {unit}}}" for unit in UNITS]
    return RECIPE.replace("FACTS", "\n".join(lines)).replace("SERVICES", "\n".join(services))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    directory = tmp_path_factory.mktemp("recipes") / "own"
    directory.mkdir()
    (directory / "recipe.yaml").write_text(recipe_text())
    recipe = load_recipe(directory)
    write_lock(recipe, resolve_lock(recipe))
    return recipe


@pytest.fixture(scope="module")
def image(recipe, baked_store):
    return baked_store.bake(recipe, logging.getLogger("bake").info)


def facts(image, directory) -> dict[str, str]:
    """Boot a clone of the image for its tests; return what it says of itself."""
    disk = directory / "disk.raw"
    directory.mkdir()
    subprocess.run(["cp", "--sparse=always", image.disk, disk], check=True)
    with booted_alone(
        disk, directory, user_data={"ingot": {"test": True}}, hardware=Hardware(cpus=1)
    ) as machine:
        end, text = time.monotonic() + LIMIT, ""
        while not machine.wait(0.5) and time.monotonic() < end and "ingot-inventory 1 " not in text:
            text = machine.console()[0].decode(errors="replace")
    assert '"differs":[]' in text, text[-4000:]
    assert re.search(r'^ingot-test 1 .*"ok":true,"recipe"', text, re.MULTILINE), text[-4000:]
    told = re.search(r"^facts ,(.*)\.\r*$", text, re.MULTILINE)
    assert told is not None, text[-4000:]
    return dict(fact.split("=") for fact in told[1].split(","))


def test_two_clones_share_no_key_no_id_and_no_database(image, tmp_path):
    one, other = facts(image, tmp_path / "one"), facts(image, tmp_path / "other")
    assert set(one) == set(other) == set(FACTS)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert not [name for name in FACTS if one[name] in (other[name], empty)]


def test_the_image_has_none_of_it(image):
    with read_ext4(image.disk) as reader:
        paths = {entry.path for entry in reader.entries(hashes=False)}
    assert "/etc/postgresql/15/main/postgresql.conf" in paths
    assert not [
        path
        for path in paths
        if path.startswith(("/var/lib/postgresql/15/main/", "/var/lib/mysql/ib", "/etc/ssh/ssh_host_"))
        or path in ("/etc/bind/rndc.key", "/etc/nvme/hostid", "/etc/ssl/private/ssl-cert-snakeoil.key")
    ]


def test_it_is_baked_to_the_same_bytes_again(recipe, image, baked_store):
    with baked_store.baked_again(recipe, logging.getLogger("bake").info) as again:
        assert again.manifest["disk"]["root_digest"] == image.manifest["disk"]["root_digest"]
