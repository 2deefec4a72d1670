"""The sets of packages that are compared: by name, the base and what a recipe adds to it."""

from typing import NamedTuple


class PackageSet(NamedTuple):
    """``base``: as a recipe has it; ``packages``: names, between commas."""

    base: str
    packages: str = ""


BOOKWORM, TRIXIE, NOBLE = "debian: bookworm", "debian: trixie", "ubuntu: noble"
SETS = {
    "bookworm": PackageSet(BOOKWORM, "ca-certificates, sudo"),
    "trixie": PackageSet(TRIXIE, "less"),
    "noble": PackageSet(NOBLE),
    "bookworm-apache": PackageSet(BOOKWORM, "apache2, libapache2-mod-wsgi-py3"),
    "bookworm-php": PackageSet(BOOKWORM, "nginx, php-fpm"),
    "bookworm-mariadb": PackageSet(BOOKWORM, "mariadb-server"),
    "bookworm-ssh": PackageSet(BOOKWORM, "openssh-server, cloud-init, sudo"),
    "bookworm-logs": PackageSet(BOOKWORM, "rsyslog, logrotate, cron, unattended-upgrades"),
    "bookworm-java": PackageSet(BOOKWORM, "default-jre-headless"),
    "bookworm-names": PackageSet(BOOKWORM, "bind9, bind9-dnsutils"),
    "bookworm-samba": PackageSet(BOOKWORM, "samba"),
    "bookworm-cache": PackageSet(BOOKWORM, "redis-server, haproxy, memcached, procps"),
    "trixie-ssh": PackageSet(TRIXIE, "openssh-server, sudo, vim, less, curl"),
    "trixie-nginx": PackageSet(TRIXIE, "nginx, php-fpm"),
    "trixie-flask": PackageSet(TRIXIE, "python3-flask, gunicorn, supervisor"),
    "trixie-cloud": PackageSet(TRIXIE, "cloud-init"),
    "trixie-ruby": PackageSet(TRIXIE, "ruby, nodejs"),
    "noble-nginx": PackageSet(NOBLE, "nginx"),
    "noble-ssh": PackageSet(NOBLE, "openssh-server, cloud-init"),
    "noble-python": PackageSet(NOBLE, "python3-flask, gunicorn"),
}
# Those of `make test`: one for each release.
QUICK = ("bookworm", "trixie", "noble")
