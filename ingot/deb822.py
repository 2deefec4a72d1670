"""Debian's control data: paragraphs of fields (deb822(5)), relations, and the order of versions.

The engine reads dpkg's status file and control files on builder instances, where only the standard library is
available; the host reads apt's indexes and sources with the same code. python-debian and python-apt were
weighed for the host: either would be a second parser beside this one, and python-debian takes many times as
long to read an archive's index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, cmp_to_key

Fields = dict[str, str]
# A field's value goes on in the lines that begin with a blank; lines that begin with "#" are comments.
_FIELD = r"^({names}):(.*(?:\n(?:[ \t]|#).*)*)"
_ANY = re.compile(_FIELD.format(names=r"[^\s:#][^:\n]*"), re.MULTILINE)
_BETWEEN = re.compile(r"\n(?:[ \t\r]*\n)+")
_PARTS = re.compile(r"([0-9]+)|([^0-9]+)")


def parse_paragraph(text: str) -> Fields:
    """Return the fields of one paragraph, names in lower case; a folded value keeps its
    lines, not their indent.
    """
    return _fields(_ANY, text)


def parse_paragraphs(text: str, only: Sequence[str] = ()) -> Iterator[Fields]:
    """Yield the fields of each paragraph, as :func:`parse_paragraph` does.

    ``only`` names the fields that are wanted: an index has tens of thousands of paragraphs, most of whose
    text nobody asks for.
    """
    pattern = re.compile(_FIELD.format(names="|".join(only)), re.MULTILINE | re.IGNORECASE) if only else _ANY
    for paragraph in _BETWEEN.split(text):
        if fields := _fields(pattern, paragraph):
            yield fields


def _fields(pattern: re.Pattern[str], paragraph: str) -> Fields:
    return {name.lower(): _unfolded(value) for name, value in pattern.findall(paragraph)}


def _unfolded(value: str) -> str:
    if "\n" not in value:
        return value.strip()
    return "\n".join(line.strip() for line in value.split("\n") if not line.startswith("#"))


def names_in(relation: str) -> list[str]:
    """Return the package names in a relation field such as "a (>= 1), b | c:any", alternatives included."""
    alternatives = relation.replace("|", ",").replace("\n", " ").split(",")
    return [word.split()[0].split("(")[0].split(":")[0] for word in alternatives if word.split()]


def compare_versions(one: str, other: str) -> int:
    """Return -1, 0 or 1 as ``one`` is older than, equal to or newer than ``other`` (Debian Policy 5.6.12)."""
    a, b = _parts(one), _parts(other)
    return (a > b) - (a < b)


version_key = cmp_to_key(compare_versions)

_Tokens = tuple[tuple[tuple[int, ...], int], ...]


@cache
def _parts(version: str) -> tuple[_Tokens, _Tokens, _Tokens]:
    """Return epoch, upstream version and revision, each comparable by itself; a missing one counts as 0."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    upstream, revision = (upstream, revision) if dash else (rest, "0")
    return _tokens(epoch), _tokens(upstream), _tokens(revision)


def _tokens(text: str) -> _Tokens:
    """Return pairs of non-digits and number; the order of such tuples is that of versions.

    Letters sort before everything else, ``~`` even before the end of the text, so each text ends with a mark.
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
