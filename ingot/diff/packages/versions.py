"""Versions of Debian packages in order: Debian Policy 5.6.12."""

from __future__ import annotations

import re
from functools import cache, cmp_to_key

_PARTS = re.compile(r"(\d+)|(\D+)")


def compare_versions(one: str, other: str) -> int:
    """Return -1, 0 or 1 as ``one`` is older than, equal to or newer than ``other``: epoch, upstream version, revision."""
    for a, b in zip(_split(one), _split(other), strict=True):
        order = _compare(a, b)
        if order:
            return order
    return 0


version_key = cmp_to_key(compare_versions)


def _split(version: str) -> tuple[str, str, str]:
    """Return epoch, upstream version and revision; what is missing is as good as 0."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, rest, "0")


def _compare(one: str, other: str) -> int:
    a, b = _tokens(one), _tokens(other)
    return (a > b) - (a < b)


@cache
def _tokens(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Return pairs of non-digits and number, in an order that tuples have by themselves.

    Letters sort before all else, ``~`` before everything, the end included: so each text ends with a mark of its own.
    """
    tokens: list[tuple[tuple[int, ...], int]] = []
    letters: tuple[int, ...] = ()
    for match in _PARTS.finditer(text):
        if match[1] is None:
            letters = tuple(_rank(character) for character in match[2])
        else:
            tokens.append(((*letters, 0), int(match[1])))
            letters = ()
    if letters:
        tokens.append(((*letters, 0), 0))
    return (*tokens, ((0,), 0))


def _rank(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256
