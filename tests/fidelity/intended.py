"""The differences that are intended: the table of docs/fidelity.md."""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from tests import ROOT

PAGE = ROOT / "docs/fidelity.md"
WORDS = {"added", "missing", "kind", "mode", "owner", "attributes", "link", "content", "hard link"}


class Row(NamedTuple):
    """One row: patterns of paths, and what may differ there."""

    patterns: tuple[str, ...]
    words: tuple[str, ...]

    def covers(self, path: str, difference: str) -> bool:
        """Say whether the row is about this difference: "missing", "mode: 0644, not 0600"."""
        return difference.partition(":")[0] in self.words and any(_matches(path, p) for p in self.patterns)


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/**"):
        top = pattern.removesuffix("/**")
        return fnmatchcase(path, top) or fnmatchcase(path, f"{top}/*")
    return fnmatchcase(path, pattern)


def rows() -> list[Row]:
    """The table's rows. Each must say what differs, in the words of the comparison, and why."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `"):
            continue
        paths, words, why = cells
        patterns = tuple(re.findall(r"`([^`]+)`", paths))
        row = Row(patterns, tuple(words.split(", ")))
        assert WORDS.issuperset(row.words), line
        assert why, f"no reason: {line}"
        found.append(row)
    return found
