"""Chooses the files whose text is compared: what the recipe brings, and configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingot.diff.accounts import CHANGED
from ingot.diff.files.files import BOOKKEEPING, RECIPE, FileChange
from ingot.diff.files.text import text_diff
from ingot.diff.sides.side import Side

# Files with a text diff, in all.
MOST = 300


def with_texts(changes: Sequence[FileChange], before: Side, after: Side) -> tuple[list[FileChange], int]:
    """Return ``changes`` with text diffs where both contents can be read, and how many files are without one for being too many."""
    wanted = [change for change in changes if _is_wanted(change, before, after)]
    # The recipe's own files come first: they are what the author of a change wrote.
    wanted.sort(key=lambda change: (change.origin != RECIPE, not change.path.startswith("/etc/")))
    made = {change.path: _with_text(change, before, after) for change in wanted[:MOST]}
    return [made.get(change.path, change) for change in changes], max(0, len(wanted) - MOST)


def _is_wanted(change: FileChange, before: Side, after: Side) -> bool:
    if change.origin == BOOKKEEPING:
        return False
    # What a package brings as a whole is the package; its changes of configuration may change what the machine does.
    if change.origin != RECIPE and not (change.path.startswith("/etc/") and change.change == CHANGED):
        return False
    if change.change == CHANGED and "content" not in change.aspects:
        return False
    sides = ((change.before, before), (change.after, after))
    files = [(file, side) for file, side in sides if file is not None and file["type"] == "file"]
    return bool(files) and all(side.has_disk for _, side in files)


def _with_text(change: FileChange, before: Side, after: Side) -> FileChange:
    return replace(change, text=text_diff(change.path, before.read(change.path), after.read(change.path)))
