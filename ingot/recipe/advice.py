"""What is no mistake in a recipe, and hurts later: said by ``ingot check`` as a warning."""

from __future__ import annotations

import re

from ingot.errors import Problem
from ingot.files import read_limited
from ingot.recipe.lock.file import Lock
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.expander import ImageFile
from ingot.recipe.sources.files import expand_files

# Servers that write files below /var/log as they come, the packages that bring a file for logrotate, which no
# image has of itself, and where they are configured. Sources: the packages of bookworm, trixie and noble.
_SERVERS = (
    ("apache2", r"apache2", "/etc/apache2/"),
    ("nginx", r"nginx-common", "/etc/nginx/"),
    ("MariaDB", r"mariadb-server", "/etc/mysql/"),
    ("MySQL", r"mysql-server-[0-9.]+", "/etc/mysql/"),
    ("PostgreSQL", r"postgresql-common", "/etc/postgresql/"),
    ("Redis", r"redis-server", "/etc/redis/"),
    ("RabbitMQ", r"rabbitmq-server", "/etc/rabbitmq/"),
    ("PHP-FPM", r"php[0-9.]+-fpm", "/etc/php/"),
    ("Samba", r"samba", "/etc/samba/"),
    ("Squid", r"squid", "/etc/squid/"),
    ("rsyslog", r"rsyslog", "/etc/rsyslog"),
)
# Larger files are no configuration.
_LARGEST = 1 << 20


def unbounded_logs(recipe: Recipe, lock: Lock) -> list[Problem]:
    """Return a problem for each server whose log nothing rotates.

    A recipe that has a file of the server's configuration which speaks of logs is believed.
    """
    installed = {package.name for package in lock.packages if package.role == "install"}
    if "logrotate" in installed:
        return []
    files = [file for file in expand_files(recipe, []) if file.kind == "file"]
    problems = []
    for server, pattern, directory in _SERVERS:
        [package, *_] = [*sorted(name for name in installed if re.fullmatch(pattern, name)), ""]
        own = [file for file in files if file.target.startswith(directory)]
        if package and not any(_speaks_of_logs(recipe, file) for file in own):
            family = package.partition("-")[0]
            named = [number for number, name in enumerate(recipe.packages) if name.startswith(family)]
            problems.append(
                recipe.problem(
                    ("packages", *named[:1]),
                    f"{server} logs to files below /var/log, and nothing rotates them",
                    "",
                    f"add the package logrotate, or a file below {directory} that says where it logs; "
                    "otherwise the logs fill the root volumes of all clones at about the same time",
                )
            )
    return problems


def end_of_life_root(recipe: Recipe) -> list[Problem]:
    """Return what AWS says of AMIs with their root on an instance store, for a recipe of one.

    EC2 user guide, "Root volume type".
    """
    if recipe.root_volume.device != "instance-store":
        return []
    return [
        recipe.problem(
            ("root_volume", "device"),
            "AWS calls a root on an instance store end of life and does not recommend it",
            "",
            "use ebs, with the strategy REPLACE_ROOT_VOLUME, or instance_store for scratch on local NVMe; "
            "C1, C3, D2, I2, M1, M2, M3, R3 and X1 alone start from such a root, and no Nitro type",
        )
    ]


def _speaks_of_logs(recipe: Recipe, file: ImageFile) -> bool:
    if file.content is not None:
        return "log" in file.content.lower()
    try:
        return b"log" in read_limited(recipe.source_root / str(file.source), _LARGEST).lower()
    except OSError:
        return False
