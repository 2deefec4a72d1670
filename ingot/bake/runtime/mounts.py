"""mount(2), umount2(2) and pivot_root(2), called directly: a program for each mount takes
longer than all of them.

Standard library only, Python 3.9. The numbers are those of linux/mount.h. Failures are CommandError in the
words of mount(8), so that they are explained like those of any other command.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import List, Optional

from ingot.process import CommandError

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1024, 2048, 1 << 21
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
# What statvfs(3) says of a mount, in the words of mount(2). A user namespace may not take any of them off.
_KEPT = (
    (os.ST_RDONLY, MS_RDONLY),
    (os.ST_NOSUID, MS_NOSUID),
    (os.ST_NODEV, MS_NODEV),
    (os.ST_NOEXEC, MS_NOEXEC),
    (os.ST_NOATIME, MS_NOATIME),
    (os.ST_NODIRATIME, MS_NODIRATIME),
    (os.ST_RELATIME, MS_RELATIME),
)
_libc = ctypes.CDLL(None, use_errno=True)


def bind(source: Path, target: Path) -> None:
    """Show ``source``, a directory or a file, at ``target`` as well, without what is mounted below it.

    Raises CommandError.
    """
    _mount(str(source), target, None, MS_BIND, "")


def make_read_only(target: Path) -> None:
    """Let nobody write by the mount ``target``; other mounts of the same file system stay as they are.

    Raises CommandError.
    """
    _restrict(target, MS_RDONLY)


def make_private() -> None:
    """Let no mount of this namespace show in another one from now on, nor the other way round.

    Raises CommandError.
    """
    _mount("none", Path("/"), None, MS_REC | MS_PRIVATE, "")


def enter(root: Path) -> None:
    """Make ``root``, with what is mounted below it and a /proc, the root of this mount namespace.

    Raises CommandError.

    Nothing else stays visible. /proc is that of this process's PID namespace, read-only.
    Device files that are in the tree itself lead to no device; those that are mounted below it do.
    """
    _mount(str(root), root, None, MS_BIND | MS_REC, "")
    os.chdir(root)
    here = Path(".")  # noqa: PTH201 - a path of mount(2)'s
    _restrict(here, MS_NODEV)
    # Before the machine's own is gone: a user namespace may only mount what it sees already.
    mount_proc(here / "proc", read_only=True)
    # The old root is then mounted upon the new one, until it is unmounted: pivot_root(2), "pivot_root(".",
    # ".")".
    if _libc.pivot_root(b".", b".") != 0:
        raise _error("pivot_root", "", root)
    _unmount(b".", MNT_DETACH)
    os.chdir("/")


def mount_proc(target: Path, *, read_only: bool) -> None:
    """Mount /proc of this process's PID namespace. Raises CommandError."""
    _mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | (MS_RDONLY if read_only else 0), "")


def mount(kind: str, target: Path, options: str, *, nosuid: bool = False) -> None:
    """Mount a file system that needs no device, such as tmpfs or overlay. Raises CommandError."""
    _mount("ingot", target, kind, MS_NOSUID if nosuid else 0, options)


def unmount(target: Path) -> None:
    """Unmount ``target`` and all that is mounted below it; nothing where nothing is mounted.

    Raises CommandError when it is in use.
    """
    for place in _below(target):
        _unmount(place, 0)


def detach(target: Path) -> None:
    """Unmount as :func:`unmount` does; what is in use goes from sight now, and for good when it is free.

    Raises CommandError.
    """
    for place in _below(target):
        _unmount(place, MNT_DETACH)


def _restrict(target: Path, flag: int) -> None:
    """Set a flag of a mount, and keep the others."""
    has = os.statvfs(target).f_flag
    kept = sum(flag for said, flag in _KEPT if has & said)
    _mount("none", target, None, MS_REMOUNT | MS_BIND | flag | kept, "")


def _mount(source: str, target: Path, kind: Optional[str], flags: int, options: str) -> None:
    words = [os.fsencode(source), os.fsencode(target), None if kind is None else kind.encode()]
    if _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)) != 0:
        raise _error("mount", source, target)


def _unmount(place: bytes, flags: int) -> None:
    if _libc.umount2(place, flags | UMOUNT_NOFOLLOW) != 0:
        raise _error("umount", "", Path(os.fsdecode(place)))


def _error(command: str, source: str, target: Path) -> CommandError:
    words = [command, *([source] if source else []), str(target)]
    return CommandError(words, 32, os.strerror(ctypes.get_errno()))  # 32: what mount(8) exits with


def _below(target: Path) -> List[bytes]:
    """Return the mounts at and below ``target``, the last one mounted first:
    proc_pid_mountinfo(5), field 5.
    """
    top = os.fsencode(os.path.realpath(target))
    found = []
    with Path("/proc/self/mountinfo").open("rb") as table:
        for line in table:
            place = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split(b" ")[4])
            if place == top or place.startswith(top + b"/"):
                found.append(place)
    return found[::-1]
