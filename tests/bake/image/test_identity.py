"""What an installation makes for one machine alone is not in an image, and each clone makes its own."""

import re
from pathlib import Path

import pytest

from ingot.bake.image.identity import IDENTITIES, pattern
from ingot.bake.image.machine import SOURCES
from ingot.bake.image.seal import seal_identities
from ingot.bake.tree.volatile import STATE

MADE = [
    "etc/aliases.db",
    "etc/bind/rndc.key",
    "etc/fake-hwclock.data",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "var/lib/mysql/ibdata1",
    "var/lib/mysql/mysql/user.frm",
    "var/lib/postgresql/15/main/PG_VERSION",
    "var/lib/rabbitmq/.erlang.cookie",
]
KEPT = [
    "etc/aliases",
    "etc/bind/named.conf",
    "etc/postgresql/15/main/postgresql.conf",
    "etc/ssl/certs/ca-certificates.crt",
    "var/lib/mysql/debian-10.11.flag",
]


def write(root: Path, name: str, text: str = "x") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()
    )


def test_keys_ids_and_databases_of_an_installation_go(tmp_path):
    for name in [*MADE, *KEPT]:
        write(tmp_path, name)
    (tmp_path / "etc/ssl/certs/756c280e.0").symlink_to("ssl-cert-snakeoil.pem")
    (tmp_path / "etc/ssl/certs/4042bcee.0").symlink_to("ISRG_Root_X1.pem")
    seal_identities(tmp_path)
    assert files(tmp_path) == sorted([*KEPT, "etc/ssl/certs/4042bcee.0"])


def test_popularity_contest_forgets_its_host_and_its_random_times(tmp_path):
    write(tmp_path, "etc/popularity-contest.conf", '# x\nMY_HOSTID="fe7e"\nPARTICIPATE="no"\nDAY="5"\n')
    write(tmp_path, "etc/cron.d/popularity-contest", "SHELL=/bin/sh\n57 6 * * *   root    true\n")
    seal_identities(tmp_path)
    assert (tmp_path / "etc/popularity-contest.conf").read_text() == '# x\nPARTICIPATE="no"\n'
    assert (
        tmp_path / "etc/cron.d/popularity-contest"
    ).read_text() == "SHELL=/bin/sh\n25 6 * * *   root    true\n"


def test_nothing_of_this_machine_goes_by_a_link(tmp_path):
    outside = tmp_path / "host"
    write(outside, "rndc.key")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/bind").symlink_to(outside)
    seal_identities(root)
    assert (outside / "rndc.key").exists()


@pytest.mark.parametrize("name", MADE)
def test_what_goes_is_a_finding_where_a_recipe_made_it(name):
    assert [one.package for one in IDENTITIES if pattern(one).fullmatch(f"/{name}")]


@pytest.mark.parametrize("name", MADE)
def test_a_clone_that_made_it_still_equals_its_manifest(name):
    assert STATE.covers(f"/{name}")


# What its package makes by itself at each start, or does without.
BY_ITSELF = {"fake-hwclock", "rabbitmq-server"}


@pytest.mark.parametrize(
    "one", [one for one in IDENTITIES if one.package not in BY_ITSELF], ids=lambda one: one.package
)
def test_each_has_its_maker_on_a_clone(one):
    script = (SOURCES / "identity.sh").read_text()
    assert re.search(re.escape(f"/{one.removed[0]}".partition("/*")[0]), script)


def test_services_of_their_own_names_wait_for_it():
    """Debian's postfix.service does nothing; the server is the instance `-` (postfix-instance-generator)."""
    unit = (SOURCES / "ingot-identity.service").read_text()
    before = {name for line in re.findall(r"^Before=(.*)$", unit, re.MULTILINE) for name in line.split()}
    assert before >= {
        "ssh.service",
        "named.service",
        "mariadb.service",
        "postfix.service",
        "postfix@-.service",
    }
