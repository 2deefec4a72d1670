"""Text diffs of configuration and of the recipe's own files: bounded, secrets masked."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from ingot.diff.changes import CHANGED
from ingot.diff.files.changes import BOOKKEEPING, RECIPE, FileChange, TextDiff
from ingot.diff.files.secrets import Mask
from ingot.diff.sides.side import Side

# Bytes of a file, lines of it, and lines of its diff: a review reads no more, and comparing long texts takes
# long. What was left out is always said.
LARGEST = 256 * 1024
LONGEST = 5000
SHOWN = 400
# Files with a text diff, in all.
MOST = 300
_HEAD = 8000  # a text has no zero byte in its beginning: git's rule


def with_texts(changes: Sequence[FileChange], before: Side, after: Side) -> tuple[list[FileChange], int]:
    """Return ``changes`` with text diffs where both contents can be read, and how many
    files are without one for being too many.
    """
    wanted = [change for change in changes if _is_wanted(change, before, after)]
    # The recipe's own files come first: they are what the author of a change wrote.
    wanted.sort(key=lambda change: (change.origin != RECIPE, not change.path.startswith("/etc/")))
    with_diffs = {change.path: _with_text(change, before, after) for change in wanted[:MOST]}
    return [with_diffs.get(change.path, change) for change in changes], max(0, len(wanted) - MOST)


def _is_wanted(change: FileChange, before: Side, after: Side) -> bool:
    if change.origin == BOOKKEEPING:
        return False
    # What a package brings as a whole is the package; its changes of configuration may change what the
    # machine does.
    if change.origin != RECIPE and not (change.path.startswith("/etc/") and change.change == CHANGED):
        return False
    if change.change == CHANGED and "content" not in change.aspects:
        return False
    sides = ((change.before, before), (change.after, after))
    files = [(file, side) for file, side in sides if file is not None and file.type == "file"]
    return bool(files) and all(side.has_disk for _, side in files)


def _with_text(change: FileChange, before: Side, after: Side) -> FileChange:
    return replace(change, text=text_diff(change.path, before.read(change.path), after.read(change.path)))


def text_diff(path: str, before: bytes | None, after: bytes | None) -> TextDiff:
    """Compare two contents of the file ``path``; None is no file."""
    contents = (before or b"", after or b"")
    if max(map(len, contents)) > LARGEST:
        return TextDiff((), note=f"no text diff: larger than {LARGEST // 1024} KiB")
    if any(b"\0" in content[:_HEAD] for content in contents):
        return TextDiff((), note="no text diff: binary")
    mask = Mask(path)
    if any(mask.hides_all(content) for content in contents):
        return TextDiff((), masked=1, note="not shown: a file for credentials")
    old, new = (mask(content.decode("utf-8", "replace")).splitlines() for content in contents)
    if max(len(old), len(new)) > LONGEST:
        return TextDiff((), note=f"no text diff: more than {LONGEST:,} lines")
    lines = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    note = None
    if len(lines) > SHOWN:
        note = f"… {len(lines) - SHOWN:,} more lines of this diff are not shown"
    elif not lines and contents[0] != contents[1]:
        note = "only line ends or bytes that are no text differ"
    return TextDiff(tuple(lines[:SHOWN]), added, removed, mask.count, note)
