"""Text diffs of configuration and of the recipe's own files: bounded, secrets masked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from ingot.diff.files.secrets import Mask

# Bytes of a file, lines of it, and lines of its diff: a review reads no more, and comparing long texts takes long. What was left
# out is always said.
LARGEST = 256 * 1024
LONGEST = 5000
SHOWN = 400
_HEAD = 8000  # a text has no zero byte in its beginning: git's rule


@dataclass(frozen=True)
class TextDiff:
    """The lines of a unified diff without its file names. ``note`` says why there are none, or which are left out."""

    lines: tuple[str, ...]
    added: int = 0
    removed: int = 0
    masked: int = 0
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {**vars(self), "lines": list(self.lines)}


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
