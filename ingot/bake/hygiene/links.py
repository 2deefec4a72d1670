"""Symbolic links in /etc that lead nowhere: configuration that is not there."""

from __future__ import annotations

import posixpath
from typing import Iterator, Optional

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.units import is_enablement
from ingot.bake.hygiene.view import View
from ingot.bake.packages.drop import is_dropped, patterns
from ingot.bake.tree.links import TooManyLinksError, resolve_links
from ingot.bake.tree.tree import Entry, Kind


def check(view: View) -> Iterator[Finding]:
    """Yield the broken links in /etc.

    Links that enable units are left to the check of units; links to what the recipe drops are intended.
    """
    dropped = patterns(view.declared.drop)
    for entry in view.below("/etc"):
        if entry.kind is not Kind.SYMLINK or is_enablement(entry) or view.resolve(entry.path) is not None:
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.link or ""))
        # Alternatives of manual pages: their links stay although the pages are left out.
        if not is_dropped(_end(view, entry.path), dropped) and not _is_shipped_so(view, entry, target):
            yield Finding("broken-link", entry.path, f"it leads to {entry.link}, which is not there")


def _is_shipped_so(view: View, entry: Entry, target: str) -> bool:
    """Tell whether a package's own link led nowhere from the start, to a file that users
    may add: trixie's /etc/vconsole.conf.
    """
    known = view.shipped.get(entry.path)
    return known is not None and known.link == entry.link and target not in view.shipped


def _end(view: View, path: str) -> str:
    """Return the path at which the chain of links that begins at ``path`` ends in
    nothing; ``path`` itself for a circle.
    """

    def target_of(path: str) -> Optional[str]:
        entry = view.entries.get(path)
        return entry.link if entry is not None and entry.kind is Kind.SYMLINK else None

    try:
        return resolve_links(path, target_of)
    except TooManyLinksError:
        return path
