"""What a check finds."""

from __future__ import annotations

from typing import NamedTuple, Tuple, get_args

from ingot.spec import FindingName

# What a recipe's `hygiene.allow` may name.
NAMES: Tuple[str, ...] = get_args(FindingName)


class Finding(NamedTuple):
    """One thing that must not be in an image. ``reason`` never holds the secret itself."""

    name: str
    path: str
    reason: str
