"""What a check finds."""

from __future__ import annotations

from typing import NamedTuple, Tuple

# The names of findings: what a recipe's `hygiene.allow` may name.
NAMES: Tuple[str, ...] = (
    "authorized-key",
    "broken-link",
    "builder-trace",
    "cache",
    "clone-identity",
    "credential",
    "history",
    "host-key",
    "install-secret",
    "lease",
    "log",
    "machine-id",
    "password-hash",
    "private-key",
    "random-seed",
    "setuid",
    "unit",
    "world-writable",
)


class Finding(NamedTuple):
    """One thing that must not be in an image. ``reason`` never holds the secret itself."""

    name: str
    path: str
    reason: str
