"""Who may do what: files that all may write, and programs with the rights of another user."""

from __future__ import annotations

import hashlib
from typing import Iterator

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.view import View
from ingot.bake.tree.tree import Entry, Kind

_CAPABILITY = "security.capability"
_STICKY = 0o1000


def check(view: View) -> Iterator[Finding]:
    """Yield paths that all may write, and setuid, setgid and capable files that no package brought."""
    for entry in view.unproven("permissions"):
        if entry.kind is Kind.SYMLINK or entry.path.startswith("/dev/"):
            continue
        if entry.mode & 0o002 and not (entry.kind is Kind.DIRECTORY and entry.mode & _STICKY):
            yield Finding("world-writable", entry.path, f"mode {entry.mode:04o}: every user may write it")
        if entry.kind is Kind.FILE and power(entry) and not _is_shipped(view, entry):
            yield Finding("setuid", entry.path, f"{power(entry)}; no installed package brought it so")


def power(entry: Entry) -> str:
    """Return what a file lets its caller be; nothing when it is an ordinary file."""
    powers = []
    if entry.mode & 0o4000:
        powers.append(f"setuid to user {entry.uid}")
    if entry.mode & 0o2000:
        powers.append(f"setgid to group {entry.gid}")
    if _capability(entry):
        powers.append("file capabilities")
    return ", ".join(powers)


def _capability(entry: Entry) -> bytes:
    return dict(entry.xattrs).get(_CAPABILITY, b"")


def _is_shipped(view: View, entry: Entry) -> bool:
    """Tell whether the packages' layer holds the same program with the same rights.

    Debian's packages set such modes in their archives and in their scripts (statoverrides, setcap), so no
    list of theirs is complete: what counts is what the locked packages did. The layer's other entries are
    Ingot's own, none of which is privileged.
    """
    known = view.shipped.get(entry.path)
    return (
        known is not None
        and not view.is_added(entry.path)
        and (known.mode, known.uid, known.gid) == (entry.mode, entry.uid, entry.gid)
        and _capability(known) == _capability(entry)
        and known.sha256 == hashlib.sha256(view.read(entry.path)).hexdigest()
    )
