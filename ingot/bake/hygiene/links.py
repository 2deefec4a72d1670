"""Symbolic links in /etc that lead nowhere: configuration that is not there."""

from __future__ import annotations

import posixpath
from typing import Iterator

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.units import is_enablement
from ingot.bake.hygiene.view import View
from ingot.bake.packages.drop import is_dropped, patterns
from ingot.bake.tree.tree import Entry, Kind


def check(view: View) -> Iterator[Finding]:
    """Yield the broken links in /etc. Those that enable units are the units' affair; those to what the recipe drops are meant so."""
    dropped = patterns(view.declared.drop)
    for entry in view.below("/etc"):
        if entry.kind is not Kind.SYMLINK or is_enablement(entry) or view.resolve(entry.path) is not None:
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.link or ""))
        # Alternatives of manual pages: their links stay although the pages are left out.
        if not is_dropped(_last(view, target), dropped) and not _is_shipped_so(view, entry, target):
            yield Finding("broken-link", entry.path, f"it leads to {entry.link}, which is not there")


def _is_shipped_so(view: View, entry: Entry, target: str) -> bool:
    """Tell whether a package's own link led nowhere from the start: to what one may add, as trixie's /etc/vconsole.conf."""
    known = view.shipped.get(entry.path)
    return known is not None and known.link == entry.link and target not in view.shipped


def _last(view: View, target: str) -> str:
    """Return the path at which a chain of links ends in nothing."""
    seen = set()
    while target not in seen:
        seen.add(target)
        entry = view.entries.get(target)
        if entry is None or entry.kind is not Kind.SYMLINK:
            break
        target = posixpath.normpath(posixpath.join(posixpath.dirname(target), entry.link or ""))
    return target
