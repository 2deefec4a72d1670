"""What packages make when they are installed and every clone must have of its own: keys,
host ids, database clusters.

An image is installed once and launched a thousand times. So what a maintainer script made from random numbers
or from the clock is taken out of the packages' layer, and ``rootfs/identity.sh`` makes it on each clone at
its first boot, with the package's own program, before the services that use it. What no line of the table
knows is left to the hygiene gate.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Pattern, Tuple


class CloneIdentity(NamedTuple):
    """One thing that each clone has of its own.

    ``package`` makes it. ``removed`` are glob patterns below the root, whose matches the seal removes.
    ``kept`` are names of files below a removed directory that hold nothing secret and that the package looks
    for.
    """

    package: str
    what: str
    removed: Tuple[str, ...]
    kept: Tuple[str, ...] = ()


# Sources: the postinst scripts of these packages in bookworm, trixie and noble.
IDENTITIES: Tuple[CloneIdentity, ...] = (
    CloneIdentity("bind9", "the key of rndc", ("etc/bind/rndc.key",)),
    CloneIdentity("fake-hwclock", "the time of the last shutdown", ("etc/fake-hwclock.data",)),
    CloneIdentity(
        "mariadb-server",
        "the databases",
        ("var/lib/mysql/*",),
        ("debian-*.flag",),  # mariadb-server.preinst
    ),
    CloneIdentity("nvme-cli", "the host's NVMe name", ("etc/nvme/hostnqn", "etc/nvme/hostid")),
    CloneIdentity("open-iscsi", "the iSCSI initiator's name", ("etc/iscsi/initiatorname.iscsi",)),
    # It bears the time and the host's name (postalias(1)), which postfix itself never reads.
    CloneIdentity("postfix", "the database of mail aliases", ("etc/aliases.db",)),
    CloneIdentity("postgresql", "the database cluster", ("var/lib/postgresql/*/*",)),
    CloneIdentity("rabbitmq-server", "the Erlang cookie", ("var/lib/rabbitmq/.erlang.cookie",)),
    CloneIdentity(
        "ssl-cert",
        "the self-signed certificate and its key",
        ("etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem"),
    ),
)
# Lines that name the host, and the random times at which it reports: popularity-contest.postinst.
POPULARITY_CONTEST = "etc/popularity-contest.conf"
HOST_ID = re.compile(rb"^(MY_HOSTID|DAY)=.*\n?", re.MULTILINE)
POPULARITY_CRON = "etc/cron.d/popularity-contest"
CRON_TIME, FIXED_TIME = re.compile(rb"^\d+ \d+ (?=\* \* \* )", re.MULTILINE), b"25 6 "
# Links by the hash of the certificate's subject, which names the host: make-ssl-cert(8).
CERTIFICATES, SNAKEOIL = "etc/ssl/certs", "ssl-cert-snakeoil.pem"


def pattern(identity: CloneIdentity) -> Pattern[str]:
    """Return the expression for the absolute paths of ``identity``'s files; a directory's
    name stands for all below it.
    """
    expressions = [re.escape(f"/{glob}").replace(r"\*", "[^/]*") + "(?:/.*)?" for glob in identity.removed]
    return re.compile("|".join(expressions))


def names_of_kept(identity: CloneIdentity) -> Pattern[str]:
    """Return the expression for the names of files that stay below a removed directory."""
    return re.compile("|".join(re.escape(glob).replace(r"\*", ".*") for glob in identity.kept) or r"(?!)")
