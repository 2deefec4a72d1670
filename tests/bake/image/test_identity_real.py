"""Servers that make keys, ids and databases when they are installed: baked twice to the
same bytes, and two clones compared.

``INGOT_IDENTITY=more`` (``make identity``) takes the servers that are heavier, and compares every file of the
two clones' disks; otherwise the databases are taken, by what their programs say.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import pytest

from ingot.aws.instances.console import INVENTORY, TEST, last_line, tail
from ingot.bake.disk import read_ext4
from ingot.bake.tree.tree import Kind
from ingot.machines.alone import Hardware, booted_alone
from ingot.machines.qemu import DISK
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
LIMIT = 1800  # seconds; two database clusters are made, and the machine is emulated, perhaps beside others
MORE = os.environ.get("INGOT_IDENTITY") == "more"


class Servers(NamedTuple):
    """What is installed together: ``packages`` between commas, ``facts`` that each clone has of its own (of
    databases, what names the cluster), ``units`` that must run, ``kept``: what an installation leaves in the
    image, ``gone``: what it must not, as the beginnings of paths.
    """

    packages: str
    facts: Mapping[str, str]
    units: tuple[str, ...]
    kept: str
    gone: tuple[str, ...]


SETS = {
    "databases": Servers(
        "openssh-server, bind9, open-iscsi, popularity-contest, fake-hwclock, postgresql, mariadb-server,"
        " ssl-cert, nvme-cli",
        {
            "ssh": "cat /etc/ssh/ssh_host_ed25519_key.pub",
            "certificate": "cat /etc/ssl/private/ssl-cert-snakeoil.key",
            "rndc": "cat /etc/bind/rndc.key",
            "initiator": "cat /etc/iscsi/initiatorname.iscsi",
            "cluster": (
                "/usr/lib/postgresql/15/bin/pg_controldata -D /var/lib/postgresql/15/main"
                " | grep 'system identifier'"
            ),
            "databases": "head -c 52 /var/lib/mysql/aria_log_control",
            "popularity": "grep MY_HOSTID /etc/popularity-contest.conf",
            "nvme-name": "cat /etc/nvme/hostnqn",
            "nvme-id": "cat /etc/nvme/hostid",
        },
        ("ingot-identity", "ssh", "postgresql@15-main", "mariadb", "named"),
        "/etc/postgresql/15/main/postgresql.conf",
        (
            "/var/lib/postgresql/15/main/",
            "/var/lib/mysql/ib",
            "/etc/ssh/ssh_host_",
            "/etc/bind/rndc.key",
            "/etc/nvme/hostid",
            "/etc/nvme/hostnqn",
            "/etc/ssl/private/ssl-cert-snakeoil.key",
        ),
    ),
    "messages": Servers(
        "rabbitmq-server, docker.io, procps",
        {
            "cookie": "cat /var/lib/rabbitmq/.erlang.cookie",
            "engine": "docker info --format '{{.ID}}'",
            # Through a file: to a pipe it prints nothing.
            "guest": (
                "rabbitmqctl -q export_definitions - >/run/definitions;"
                """ grep -o '"password_hash":"[^"]*' /run/definitions"""
            ),
        },
        ("rabbitmq-server", "docker"),
        "/usr/lib/rabbitmq/bin/rabbitmq-server",
        ("/var/lib/rabbitmq/.", "/var/lib/rabbitmq/mnesia/", "/etc/docker/key.json", "/var/lib/docker/"),
    ),
}
# What both clones write with the same content, as patterns: databases without rows. RabbitMQ calls its tables
# by the host's name, which is the same here. What it makes up, a cookie and the salt of a password, is
# among the facts.
ALIKE = (
    "/var/lib/containerd/*.db",
    "/var/lib/docker/buildkit/*.db",
    "/var/lib/docker/image/overlay2/repositories.json",
    "/var/lib/docker/volumes/metadata.db",
    "/var/lib/rabbitmq/mnesia/*",
)
RECIPE = """\
name: NAME
base: {debian: bookworm}
root_volume: {size: 4GiB}
packages: [PACKAGES]
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


def recipe_text(name: str) -> str:
    servers = SETS[name]
    lines = [
        f'      facts="$facts,{fact}=$({command} | sha256sum | cut -c1-64)"'
        for fact, command in servers.facts.items()
    ]
    services = [f"  - {{name: {unit}, service: {unit}}}" for unit in servers.units]
    text = RECIPE.replace("NAME", name).replace("PACKAGES", servers.packages)
    return text.replace("FACTS", "\n".join(lines)).replace("SERVICES", "\n".join(services))


@pytest.fixture(scope="module", params=["messages" if MORE else "databases"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def recipe(name, tmp_path_factory):
    directory = tmp_path_factory.mktemp("recipes") / name
    directory.mkdir()
    (directory / "recipe.yaml").write_text(recipe_text(name))
    recipe = load_recipe(directory)
    write_lock(recipe, resolve_lock(recipe))
    return recipe


@pytest.fixture(scope="module")
def image(recipe, baked_store):
    return baked_store.bake(recipe, logging.getLogger("bake").info)


class Clone(NamedTuple):
    """What a clone says of itself, and the digests of the files on its disk."""

    facts: Mapping[str, str]
    files: Mapping[str, str]


def clone(image, directory, *kinds: str) -> Clone:
    """Boot a clone of the image for its tests until its console has a line of each kind; return what it has
    of its own.
    """
    directory.mkdir()
    with booted_alone(
        image.disk, directory, user_data={"ingot": {"test": True}}, hardware=Hardware(cpus=1)
    ) as machine:
        end, text, lines = time.monotonic() + LIMIT, "", dict.fromkeys(kinds)
        while None in lines.values() and not machine.wait(0.5) and time.monotonic() < end:
            text = machine.console()[0].decode(errors="replace")
            lines = {kind: last_line(text, kind) for kind in kinds}
        assert None not in lines.values(), tail(text)
        assert lines[TEST]["ok"], tail(text)
        assert lines.get(INVENTORY, {"differs": []})["differs"] == [], tail(text)
        facts = re.search(r"^facts ,(.*)\.\r*$", text, re.MULTILINE)
        assert facts is not None, tail(text)
        files = {}
        if MORE:
            with pytest.MonkeyPatch.context() as patch:  # so that its journal is written out
                patch.setattr("ingot.machines.machine.SHUTDOWN_SECONDS", LIMIT)
                machine.shut_down()
            files = files_on(machine.directory / DISK, directory / "disk.raw")
    return Clone(dict(fact.split("=") for fact in facts[1].split(",")), files)


def files_on(disk, raw) -> dict[str, str]:
    """Return the SHA-256 of each file that is not empty on the disk of a machine that has ended, by path."""
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    with read_ext4(raw) as reader:
        start = reader.start
    # Nothing is left in the journal that the files lack.
    done = subprocess.run(["e2fsck", "-fn", f"{raw}?offset={start}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    with read_ext4(raw) as reader:
        found = {e.path: e.sha256 for e in reader.entries() if e.kind is Kind.FILE and e.size}
    raw.unlink()
    return found


@pytest.fixture(scope="module")
def clones(image, tmp_path_factory):
    top = tmp_path_factory.mktemp("clones")
    # One inventory: it takes an emulated machine as long as its boot, and both clones have the same disk.
    return clone(image, top / "one", TEST, INVENTORY), clone(image, top / "other", TEST)


def test_two_clones_share_no_key_no_id_and_no_database(name, clones):
    one, other = clones[0].facts, clones[1].facts
    assert set(one) == set(other) == set(SETS[name].facts)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert not [fact for fact in one if one[fact] in (other[fact], empty)]


@pytest.mark.skipif(not MORE, reason="make identity")
def test_what_both_clones_wrote_alike_is_nothing_of_their_own(name, image, clones):
    """Each file that both have, that the image has not, and that has the same content on both."""
    one, other = clones[0].files, clones[1].files
    with read_ext4(image.disk) as reader:
        before = {entry.path: entry.sha256 for entry in reader.entries()}
    alike = [path for path, digest in one.items() if other.get(path) == digest != before.get(path)]
    assert len(alike) < len(one), "nothing was read"
    assert not [path for path in alike if not any(fnmatchcase(path, pattern) for pattern in ALIKE)]


def test_the_image_has_none_of_it(name, image):
    servers = SETS[name]
    with read_ext4(image.disk) as reader:
        paths = {entry.path for entry in reader.entries(hashes=False)}
    assert servers.kept in paths
    assert not [path for path in paths if path.startswith(servers.gone)]


def test_it_is_baked_to_the_same_bytes_again(recipe, image, baked_store):
    with baked_store.baked_again(recipe, logging.getLogger("bake").info) as again:
        assert again.manifest["disk"]["root_digest"] == image.manifest["disk"]["root_digest"]
