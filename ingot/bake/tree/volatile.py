"""What a clone may change while it runs and still equal its manifest.

State is volatile, code and configuration are held: /var/lib is "variable state information" (Filesystem
Hierarchy Standard, 5.8), and so are logs, caches, spools and home directories. What the recipe itself puts
there is held all the same, and ``volatile:`` in a recipe adds paths of its own. The longest path that matches
decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, Iterable, Iterator, Set

LIBRARY = "/usr/lib/ingot"
BASELINE = f"{LIBRARY}/baseline"
CLOUD_INIT = "/usr/bin/cloud-init"

# ruff: noqa: S108 - /tmp is named here, not used
_STATE = (
    "/boot/efi",
    "/dev",
    "/efi",
    "/etc/.pwd.lock",
    "/etc/.updated",
    "/etc/adjtime",
    "/etc/aliases.db",
    "/etc/hostname",
    "/etc/machine-id",
    "/etc/resolv.conf",
    "/home",
    "/lost+found",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    BASELINE,
    "/var/.updated",
    "/var/backups",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/tmp",
    # php-fpm names its newest socket when it starts; containerd makes the directories of its plug-ins, Docker
    # the key of its engine.
    "/etc/alternatives/php-fpm.sock",
    "/etc/cni",
    "/opt/containerd",
    "/etc/docker/key.json",
    # Each clone's own: ingot/bake/image/identity.py.
    "/etc/bind/rndc.key",
    "/etc/fake-hwclock.data",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/popularity-contest.conf",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "/etc/ssl/private/ssl-cert-snakeoil.key",
    "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssh/ssh_host_dsa_key.pub",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_rsa_key.pub",
    # Which alternative is chosen shows in /etc/alternatives.
    "/var/lib/dpkg/alternatives",
)
# What cloud-init configures at a boot, where an image has it: its documentation, "Module reference".
_CONFIGURED_BY_CLOUD_INIT = (
    "/boot",
    "/etc/cloud",
    "/etc/fstab",
    "/etc/hosts",
    "/etc/machine-info",
    "/etc/netplan",
    "/etc/network",
    "/etc/ssh",
    "/etc/sudoers.d",
    "/etc/sysconfig",
    "/etc/systemd/network/10-cloud-init-eth0.network",
    "/etc/udev/rules.d/90-cloud-init-hook-hotplug.rules",
    "/root/.ssh",
)
# Not state: which packages there are, and their scripts.
_HELD = ("/var/lib/dpkg",)


@dataclass(frozen=True)
class Volatile:
    """``paths`` with all below them are volatile, ``held`` with all below them are not,
    nor are the ``single`` paths alone.
    """

    paths: FrozenSet[str]
    held: FrozenSet[str] = frozenset(_HELD)
    single: FrozenSet[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Tell whether a clone may change ``path``."""
        if path in self.single:
            return False
        for above in _upwards(path):
            if above in self.paths:
                return True
            if above in self.held:
                return False
        return False

    def with_recipe(self, volatile: Iterable[str], files: Iterable[str]) -> "Volatile":
        """Return it for a recipe that names ``volatile`` paths and brings ``files``:
        these are held, but below its own paths.
        """
        own = Volatile(frozenset(volatile), frozenset())
        single = frozenset(path for path in files if self.covers(path) and not own.covers(path))
        return Volatile(self.paths | own.paths, self.held, single)

    def text(self) -> str:
        """Return it as ``rootfs/inventory.pl`` reads it: a sign and a path, one a line."""
        lines = [f"~{path}" for path in self.paths]
        lines += [f"={path}" for path in self.held] + [f"!{path}" for path in self.single]
        return "".join(f"{line}\n" for line in sorted(lines))


def read_volatile(text: str) -> Volatile:
    """Return what :meth:`Volatile.text` wrote, or what an image of an earlier version
    says: volatile paths without a sign.
    """
    signs: Dict[str, Set[str]] = {"~": set(), "=": set(), "!": set()}
    for line in text.splitlines():
        sign, path = (line[0], line[1:]) if line[:1] in signs else ("~", line)
        signs[sign].add(path)
    return Volatile(frozenset(signs["~"]), frozenset(signs["="]), frozenset(signs["!"]))


def volatile_of(*, has_cloud_init: bool) -> Volatile:
    """Return what is volatile in an image before its recipe has a say."""
    return WITH_CLOUD_INIT if has_cloud_init else STATE


def _upwards(path: str) -> Iterator[str]:
    while path not in ("", "/"):
        yield path
        path = path.rpartition("/")[0]


STATE = Volatile(frozenset(_STATE))
WITH_CLOUD_INIT = Volatile(frozenset((*_STATE, *_CONFIGURED_BY_CLOUD_INIT)))
