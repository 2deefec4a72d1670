"""What each clone must make for itself, and what only the builder has: ids, keys of the
host, seeds, names, resolver.
"""

from __future__ import annotations

import re
from typing import Iterator, List, Pattern, Tuple

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.view import View
from ingot.bake.image.identity import HOST_ID, IDENTITIES, POPULARITY_CONTEST, names_of_kept, pattern
from ingot.bake.tree.tree import Entry, Kind

# File systems and programs that keep an id of the machine: machine-id(5).
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_AUTHORIZED = ("/authorized_keys", "/authorized_keys2")
# finding -> the files that it is about, and why they must not be there. One expression each: they are tried
# on every file of the disk.
_FILES: Tuple[Tuple[str, Pattern[str], str], ...] = tuple(
    (name, re.compile("|".join(patterns)), reason)
    for name, patterns, reason in (
        (
            "host-key",
            (r"/etc/ssh/ssh_host_[^/]*", r"/etc/dropbear/(initramfs/)?dropbear_[^/]*_host_key"),
            "all clones would have this host key",
        ),
        (
            "random-seed",
            (
                r"/var/lib/(systemd|urandom)/random-seed",
                r"/var/lib/systemd/credential\.secret",
                r"/boot/efi/loader/random-seed",
            ),
            "all clones would start from this seed or secret",
        ),
        (
            "lease",
            (
                r"/var/lib/(dhcp|dhclient|dhcpcd|dhcpcd5)/[^/]*\.lease[^/]*",
                r"/var/lib/NetworkManager/[^/]*\.lease",
                r"/var/lib/systemd/network/leases/.*",
            ),
            "the lease of an address is the builder's",
        ),
    )
)
# What the packages' layer is sealed of, and a recipe has made in the image.
_IDENTITIES = tuple((one, pattern(one), names_of_kept(one)) for one in IDENTITIES)
# Files that only some may read, that maintainer scripts make, and that are the same after each installation:
# accounts without passwords (the gate looks at those), the configuration of PostgreSQL, MariaDB's account
# without a password, and root's own profile.
_REPEATABLE = re.compile(
    r"/etc/g?shadow-?|/etc/postgresql/[^/]+/[^/]+/pg_(hba|ident)\.conf|/etc/mysql/debian\.cnf"
    r"|/root/\.(bashrc|profile)|/var/cache/debconf/passwords\.dat|/var/lib/(dpkg|apt|ucf|systemd)/.*"
)
# Whatever a clone's resolver writes: systemd-resolved(8).
_RESOLVERS = re.compile(r"(/|(\.\./)+)run/systemd/resolve/(stub-)?resolv\.conf")
# Loopback, multicast of IPv6, and 127.0.1.1, which Debian's installer gives the host name.
_OWN_ADDRESSES = re.compile(r"127\.[0-9.]+|::1|fe00::[0-9]*|ff0[0-9]::[0-9]*|0\.0\.0\.0")


def check(view: View) -> Iterator[Finding]:
    """Yield machine ids, host keys, authorized keys, seeds, leases, host names and
    resolvers of the builder.
    """
    yield from _machine_ids(view)
    for entry in (*view.unproven_files("identity"), *view.unproven_links("identity", is_watched)):
        path = entry.path
        if path.endswith(_AUTHORIZED):
            yield from authorized_keys(path, view.lines(path))
        for name, reason in _named(path):
            yield Finding(name, path, reason)
        yield from _of_each_clone(view, entry)
    yield from _names(view)
    yield from _resolver(view)


def authorized_keys(path: str, lines: List[str]) -> Iterator[Finding]:
    """Yield the finding on a file of this path with these lines, comments left out, if it lets anybody in."""
    if path.endswith(_AUTHORIZED) and lines:
        yield Finding("authorized-key", path, f"who has one of {len(lines)} keys may log in")


def is_watched(path: str) -> bool:
    """Tell whether a file of this name is looked at, so that a link of this name must be, too."""
    return path.endswith(_AUTHORIZED) or any(_named(path))


def _named(path: str) -> Iterator[Tuple[str, str]]:
    """Yield the finding and the reason for which a file of this name must not be there."""
    if path.startswith(("/etc/", "/var/lib/", "/boot/")):
        for name, pattern, reason in _FILES:
            if pattern.fullmatch(path):
                yield name, reason


def _of_each_clone(view: View, entry: Entry) -> Iterator[Finding]:
    """Yield what an installation made once for one machine, and what looks as if it were that."""
    path = entry.path
    if entry.kind is not Kind.FILE or path in view.declared.files:
        return
    for one, expression, kept in _IDENTITIES:
        if expression.fullmatch(path) and not kept.fullmatch(path.rpartition("/")[2]):
            yield Finding("clone-identity", path, f"all clones would have {one.what} of {one.package}")
            return
    if path == f"/{POPULARITY_CONTEST}" and HOST_ID.search(view.read(path)):
        yield Finding("clone-identity", path, "all clones would have the host id of popularity-contest")
    elif _is_private(view, path) and not view.is_owned(path):
        yield Finding(
            "install-secret",
            path,
            f"no package brought it, mode {entry.mode:04o} keeps it from others: what an installation makes"
            " is equal on all clones",
        )


def _is_private(view: View, path: str) -> bool:
    """Tell whether an installation made a file that not every user may read: by its own
    mode, or a directory's above it.
    """
    shipped = view.shipped.get(path)
    if shipped is None or _REPEATABLE.fullmatch(path) or view.is_added(path):
        return False
    if not shipped.mode & 0o004:
        return True
    above = path.rpartition("/")[0]
    while above:
        directory = view.shipped.get(above)
        if directory is not None and not directory.mode & 0o001:
            return True
        above = above.rpartition("/")[0]
    return False


def _machine_ids(view: View) -> Iterator[Finding]:
    for path in _MACHINE_IDS:
        is_another = view.resolve(path) in _MACHINE_IDS and view.resolve(path) != path
        if not is_another and view.read(path).strip() not in (b"", b"uninitialized"):
            yield Finding("machine-id", path, "it is not empty: all clones would be the same machine")


def _names(view: View) -> Iterator[Finding]:
    policy = view.declared.hostname
    found = view.lines("/etc/hostname")
    wanted = [] if policy == "from-metadata" else [policy]
    if found not in (wanted, []) and "/etc/hostname" not in view.declared.files:
        yield Finding("builder-trace", "/etc/hostname", f"it names {found[0]!r}; the recipe says {policy!r}")
    if "/etc/hosts" in view.declared.files:
        return
    for line in view.lines("/etc/hosts"):
        if _OWN_ADDRESSES.fullmatch(line.split()[0]) is None:
            reason = f"it names {line.split()[0]}, which is no address of every clone"
            yield Finding("builder-trace", "/etc/hosts", reason)


def _resolver(view: View) -> Iterator[Finding]:
    path = "/etc/resolv.conf"
    entry = view.entries.get(path)
    if entry is None or path in view.declared.files:
        return
    if entry.kind is Kind.FILE and entry.size:
        yield Finding("builder-trace", path, "it is a file: a clone would ask the builder's name servers")
    elif entry.kind is Kind.SYMLINK and not _RESOLVERS.fullmatch(entry.link or ""):
        yield Finding("builder-trace", path, f"it leads to {entry.link}, which is not a clone's own resolver")
