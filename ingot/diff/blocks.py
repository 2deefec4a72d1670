"""Which blocks of 512 KiB differ between two disks: what a publish has to send, and what the report draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

SAME, CHANGED, ADDED, REMOVED, ZERO = "same", "changed", "added", "removed", "zero"


@dataclass(frozen=True)
class Blocks:
    """The blocks of both disks in order, as runs of (kind, count).

    ``added`` were zero before, ``removed`` are zero now.
    """

    block_size: int
    runs: tuple[tuple[str, int], ...]

    def count(self, *kinds: str) -> int:
        """Return how many blocks are of one of ``kinds``."""
        return sum(count for kind, count in self.runs if kind in kinds)

    @property
    def differing(self) -> int:
        """How many blocks differ."""
        return self.count(CHANGED, ADDED, REMOVED)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        kinds = (SAME, CHANGED, ADDED, REMOVED, ZERO)
        return {
            "block_size": self.block_size,
            "differing": self.differing,
            **{kind: self.count(kind) for kind in kinds},
            "map": [list(run) for run in self.runs],
        }


def compare_blocks(before: Mapping[str, Any], after: Mapping[str, Any]) -> Blocks:
    """Compare two manifests' disks; the end of the shorter one counts as zeros.

    An empty mapping is no disk.
    """
    old: Sequence[str | None] = before.get("blocks", ())
    new: Sequence[str | None] = after.get("blocks", ())
    length = max(len(old), len(new))
    pairs = zip(_padded(old, length), _padded(new, length), strict=True)
    runs = tuple((kind, len(list(run))) for kind, run in groupby(_kind(a, b) for a, b in pairs))
    return Blocks(int(after.get("block_size") or before.get("block_size") or 0), runs)


def _padded(blocks: Sequence[str | None], length: int) -> list[str | None]:
    return [*blocks, *[None] * (length - len(blocks))]


def _kind(old: str | None, new: str | None) -> str:
    if old == new:
        return ZERO if new is None else SAME
    if old is None:
        return ADDED
    return REMOVED if new is None else CHANGED
