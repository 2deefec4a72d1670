"""The gate for a tree that is a mounted file system and not a disk of ours: the root of a
builder that booted a base AMI.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence

from ingot.bake.hygiene.gate import enforce, judge
from ingot.bake.hygiene.view import Declared, View
from ingot.bake.runtime.chroot import in_root
from ingot.bake.tree.inventory import file_line
from ingot.bake.tree.tree import Entry, sort_entries
from ingot.progress import Progress


class TreeReader:
    """Reads a tree whose entries are known."""

    def __init__(self, root: Path, entries: Sequence[Entry]) -> None:
        self._root = root
        self._entries = sort_entries(entries)

    def entries(self, *, hashes: bool = True) -> List[Entry]:
        """Return the entries, with their digests in any case."""
        return self._entries

    def read(self, path: str) -> bytes:
        """Return the content of a regular file."""
        return in_root(self._root, path).read_bytes()


def enforce_tree(
    root: Path,
    entries: Sequence[Entry],
    declared: Declared,
    before: Sequence[Entry],
    progress: Progress,
) -> Dict[str, Any]:
    """Examine a tree with its entries; return the report for the manifest.

    Raises BakeError that lists what may not be in an image.

    ``before`` are the entries of the base with their digests: what is privileged there is the base's own
    affair, and so are the files of packages that are still the same. The list in the image itself does not
    tell which are not: no image below has a list of its files.
    """
    shipped = {entry.path: entry for entry in before}
    lines = {path: file_line(entry) for path, entry in shipped.items()}
    changed = [entry.path for entry in entries if lines.get(entry.path) != file_line(entry)]
    view = View(TreeReader(root, entries), declared, (), shipped, changed=frozenset(changed))
    report = judge(view)
    enforce(report, progress)
    return report.plain()
