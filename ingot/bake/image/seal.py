"""Sealing a tree: what the bake left in it that is no part of the image goes."""

from __future__ import annotations

import os
import re
import shutil
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import AbstractSet, Iterable, List, Tuple

from ingot.bake.image import berkeley, identity, keystore
from ingot.bake.runtime.chroot import in_root, inside
from ingot.errors import BakeError

# Emptied of everything but their directories, which packages made and services expect.
EMPTIED: Tuple[str, ...] = (
    "var/lib/apt/lists",
    "var/cache/apt",
    "var/cache/dnf",
    "var/cache/yum",
    "var/cache/ldconfig",
    "var/cache/man",
    "var/tmp",
    "var/backups",
)
# Logs that are taken away: of what installed the packages, of one boot, and what was rotated. Others are
# emptied: packages make them with the owner and mode that their service needs (btmp(5), adduser's groups).
_LOGS_REMOVED = re.compile(
    r"(dpkg|alternatives|bootstrap|yum|hawkey|dnf[^/]*)\.log|(apt|journal|installer)/.*"
    r"|.*(\.[0-9]+|\.old|\.journal|\.[gx]z|\.bz2|\.zst|-[0-9]{8})"
)
# Taken away, as glob patterns.
REMOVED: Tuple[str, ...] = (
    "etc/ssh/ssh_host_*",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/timers/*",
    "var/lib/systemd/timesync/clock",
    "var/lib/dhcp/*.leases",
    "var/lib/NetworkManager/*.lease",
    "etc/.pwd.lock",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "var/lib/dpkg/*-old",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/available",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/ucf/*.[0-9]",
    "root/.*_history",
    "root/.zhistory",
    "root/.history",
    "root/.wget-hsts",
    "root/.cache",
    "home/*/.*_history",
    "home/*/.zhistory",
    "home/*/.history",
    "home/*/.cache",
    "var/lib/cloud",
    "var/lib/update-notifier/*",
    # The agent's registration, keys and commands of the builder it ran on; it creates new ones.
    "var/lib/amazon/ssm/*",
)
_WILD = re.compile(r"[*?[]")
# Directories on which something is mounted in a running system.
MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp")


def seal(root: Path, *, epoch: int, declared: Iterable[str] = ()) -> None:
    """Remove the traces of the bake from ``root``: machine identity, keys, what logs say, caches,
    histories, backups, dates of passwords.

    ``declared`` are the targets of the recipe's files, which are no traces: they stay.
    Links are followed inside the root alone: what is removed is the image's, never this machine's.
    The time of every file is not set here but in the list of entries, which is what the disk is written from.
    """
    kept = {in_root(root, path) for path in declared}
    for directory in EMPTIED:
        for place in _found(root, directory):
            _empty(place, kept)
    for logs in _found(root, "var/log"):
        _empty_logs(logs, kept)
    for pattern in REMOVED:
        for path in _found(root, pattern):
            _remove(path, kept)
    for name in MOUNT_POINTS:
        _clear(root / name)
    # Empty, not missing: systemd then makes one for each clone, and does not take the boot for a first boot
    # with presets (machine-id(5)).
    machine_id = in_root(root, "/etc/machine-id")
    machine_id.unlink(missing_ok=True)
    machine_id.write_text("")
    machine_id.chmod(0o444)
    for shadow in _found(root, "etc/shadow"):
        _fix_shadow(in_root(root, inside(root, shadow), follow=True), day=epoch // 86400)
    for file in _found(root, keystore.CACERTS):
        _fix_keystore(file, epoch)
    for pattern in berkeley.PLACES:
        for file in _found(root, pattern):
            if file not in kept:
                _fix_database(file, inside(root, file))
    _fix_resolver(root, kept)


def seal_identities(root: Path) -> None:
    """Remove from a tree of packages what each clone must have of its own (:mod:`ingot.bake.image.identity`).

    The recipe's own changes come later: what it makes of these is its own, and the hygiene gate asks why it
    is there.
    """
    for one in identity.IDENTITIES:
        names = identity.names_of_kept(one)
        for glob in one.removed:
            for path in _found(root, glob):
                if not names.fullmatch(path.name):
                    _remove(path)
    for directory in _found(root, identity.CERTIFICATES):
        for path in sorted(directory.iterdir()):
            # A name, as it stands.
            if path.is_symlink() and os.readlink(path) == identity.SNAKEOIL:  # noqa: PTH115
                path.unlink()
    for name, expression, instead in (
        (identity.POPULARITY_CONTEST, identity.HOST_ID, b""),
        (identity.POPULARITY_CRON, identity.CRON_TIME, identity.FIXED_TIME),
    ):
        for file in _found(root, name):
            if file.is_file() and not file.is_symlink():
                file.write_bytes(expression.sub(instead, file.read_bytes()))


def _found(root: Path, pattern: str) -> List[Path]:
    """Return what is there of ``pattern``, sorted: every directory on the way with its
    links followed inside the root.

    The engine does not run inside the root, so pathlib's own glob would follow a link such as /home ->
    /srv/home to this machine's.
    """
    places = [root]
    for part in pattern.split("/"):
        below = []
        for place in places:
            try:
                directory = in_root(root, inside(root, place), follow=True)
            except BakeError:  # links in a circle: nothing is there
                continue
            if not directory.is_dir():
                continue
            if _WILD.search(part):
                listed = os.listdir(directory)  # noqa: PTH208 - names alone
                names = sorted(name for name in listed if fnmatchcase(name, part))
            else:
                names = [part] if os.path.lexists(directory / part) else []
            below += [directory / name for name in names]
        places = below
    return places


def _empty(directory: Path, kept: AbstractSet[Path]) -> None:
    if directory.is_dir() and not directory.is_symlink():
        for path in list(directory.rglob("*")):
            if path not in kept and (path.is_symlink() or not path.is_dir()):
                path.unlink()


def _empty_logs(directory: Path, kept: AbstractSet[Path]) -> None:
    """Empty the logs. Links stay as they are; another name of a file becomes a file of its own."""
    if not directory.is_dir() or directory.is_symlink():
        return
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        if path in kept or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode) or _LOGS_REMOVED.fullmatch(str(path.relative_to(directory))):
            path.unlink()
        elif status.st_size and status.st_nlink == 1:
            os.truncate(path, 0)
        elif status.st_size:
            path.unlink()
            path.touch()
            os.chown(path, status.st_uid, status.st_gid)
            path.chmod(stat.S_IMODE(status.st_mode))


def _remove(path: Path, kept: AbstractSet[Path] = frozenset()) -> None:
    """Remove a path with all below it, but for what is ``kept`` and the directories that lead there."""
    is_directory = path.is_dir() and not path.is_symlink()
    if is_directory and any(path == one or path in one.parents for one in kept):
        for child in list(path.iterdir()):
            _remove(child, kept)
    elif is_directory:
        shutil.rmtree(path)
    elif path not in kept:
        path.unlink()


def _clear(directory: Path) -> None:
    if directory.is_dir() and not directory.is_symlink():
        for path in list(directory.iterdir()):
            _remove(path)


def _fix_shadow(shadow: Path, *, day: int) -> None:
    """Set the day of every password's last change, which is the day of the bake, to the
    image's own: shadow(5), field 3.
    """
    if not shadow.is_file():
        return
    rows = [line.split(":") for line in shadow.read_text().splitlines()]
    text = "".join(":".join([*row[:2], str(day), *row[3:]]) + "\n" for row in rows)
    if text != shadow.read_text():
        shadow.write_text(text)


def _fix_keystore(file: Path, epoch: int) -> None:
    if file.is_file() and not file.is_symlink():
        content = file.read_bytes()
        fixed = keystore.dated(content, epoch)
        if fixed is not None and fixed != content:
            file.write_bytes(fixed)


def _fix_database(file: Path, path: str) -> None:
    if file.is_file() and not file.is_symlink() and file.stat().st_size <= berkeley.LARGEST:
        content = file.read_bytes()
        fixed = berkeley.repeatable(content, path)
        if fixed is not None and fixed != content:
            file.write_bytes(fixed)


def _fix_resolver(root: Path, kept: AbstractSet[Path]) -> None:
    """Take the builder's resolver away; keep a link, which is the image's own resolver, and the recipe's."""
    file = in_root(root, "/etc/resolv.conf")
    if file not in kept and file.is_file() and not file.is_symlink():
        file.unlink()
