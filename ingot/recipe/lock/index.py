"""The packages that signed indexes offer.

An index has 63,000 paragraphs in 50 MB (Debian's main), of which a lock needs some hundred. So the names are
looked for in the text, and only paragraphs that somebody asks for are read: a tenth of the time of reading
them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ingot.deb822 import names_in, parse_paragraph, parse_paragraphs
from ingot.errors import IngotError
from ingot.recipe.lock.distribution import Suite

# Name, version and architecture: what apt says of a package that it would install.
Key = tuple[str, str, str]

_FIRST = b"Package: "
_FOLLOWING = re.compile(rb"\n\nPackage: ([^\n]+)")
_ESSENTIAL = b"\nEssential: yes\n"
# The fields that a lock needs.
_WANTED = (
    "Package", "Version", "Architecture", "SHA256", "Size", "Filename", "Essential", "Provides", "Conflicts",
)  # fmt: skip


@dataclass(frozen=True)
class IndexedPackage:
    """One package version of the signed indexes."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    path: str
    essential: bool
    suite: Suite


@dataclass(frozen=True)
class PackageList:
    """A verified Packages file (deb-control syntax, Debian Policy 5.1) and the suite that it is of."""

    suite: Suite
    text: bytes


class Index:
    """All package versions of some lists; ``own``: the archives of the distribution itself."""

    def __init__(self, lists: Sequence[PackageList], own: Sequence[str]) -> None:
        self._lists = [PackageList(each.suite, _canonical(each.text)) for each in lists]
        self._own = frozenset(own)

    @cached_property
    def places(self) -> Mapping[str, Sequence[tuple[PackageList, int]]]:
        """Where the paragraphs of each name begin."""
        places: dict[bytes, list[tuple[PackageList, int]]] = {}
        for each in self._lists:
            if each.text.startswith(_FIRST):
                name = each.text[len(_FIRST) :].split(b"\n", 1)[0]
                places.setdefault(name, []).append((each, 0))
            for match in _FOLLOWING.finditer(each.text):
                places.setdefault(match[1], []).append((each, match.start() + 2))
        return {_decoded(name).strip(): found for name, found in places.items()}

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def versions(self, name: str) -> set[str]:
        """Return the versions that there are of a package; none if it does not exist."""
        return {fields["version"] for _, fields in self._paragraphs(name)}

    def offers(self, name: str) -> list[tuple[str, str]]:
        """Return the versions of a package with the suites that have them."""
        return [(fields["version"], suite.name) for suite, fields in self._paragraphs(name)]

    def find(self, key: Key) -> IndexedPackage:
        """Return a package; the first list that has it counts.

        Raises IngotError when no list has it, or the list lacks what a lock needs to know.
        """
        name, version, architecture = key
        for suite, fields in self._paragraphs(name):
            if (fields["version"], fields.get("architecture")) == (version, architecture):
                return _package(key, fields, suite)
        raise IngotError(f"apt chose {name} {version} ({architecture}), which no index has")

    def providers(self, name: str) -> list[str]:
        """Return the packages that provide a virtual package. It reads all of the index: for errors."""
        found = set()
        for each in self._lists:
            for fields in parse_paragraphs(_decoded(each.text), only=("Package", "Provides")):
                if name in names_in(fields.get("provides", "")):
                    found.add(fields["package"])
        return sorted(found)

    def conflict(self, one: str, other: str) -> bool:
        """Say whether two packages cannot be installed together: one conflicts with the other, or with what
        it provides, in any version (Debian Policy 7.4).
        """
        return any(
            self._related(first, "conflicts") & {second, *self._related(second, "provides")}
            for first, second in ((one, other), (other, one))
        )

    def _related(self, name: str, relation: str) -> set[str]:
        """Return the names in a relation of a package, but those of some versions alone."""
        words = (word for _, fields in self._paragraphs(name) for word in fields.get(relation, "").split(","))
        of_all = (word for word in words if relation == "provides" or "(" not in word)
        return {other for word in of_all for other in names_in(word)}

    def essential(self) -> list[str]:
        """Return the names of the Essential packages.

        Only the distribution's own count: another archive does not say what every image has.
        """
        names = set()
        for each in self._lists:
            if each.suite.archive not in self._own:
                continue
            at = each.text.find(_ESSENTIAL)
            while at >= 0:
                start = each.text.rfind(b"\n\n", 0, at) + 2
                names.add(_fields(each.text, start if start > 1 else 0)["package"])
                at = each.text.find(_ESSENTIAL, at + 1)
        return sorted(names)

    def _paragraphs(self, name: str) -> Iterator[tuple[Suite, Mapping[str, str]]]:
        for each, start in self.places.get(name, ()):
            fields = _fields(each.text, start)
            if "version" in fields:
                yield each.suite, fields


def _package(key: Key, fields: Mapping[str, str], suite: Suite) -> IndexedPackage:
    name, version, architecture = key
    lacking = [field for field in ("SHA256", "Size", "Filename") if not fields.get(field.lower())]
    if lacking or not fields["size"].isdecimal():
        raise IngotError(
            f"the index of {suite.archive} {suite.name} has no usable {', '.join(lacking) or 'Size'} for"
            f" {name} {version}: it cannot be locked",
            hint="the index of an archive has to name the file of each package, its size and its SHA-256",
        )
    return IndexedPackage(
        name=name,
        version=version,
        architecture=architecture,
        sha256=fields["sha256"],
        size=int(fields["size"]),
        path=fields["filename"].removeprefix("./"),
        essential=fields.get("essential") == "yes",
        suite=suite,
    )


def _fields(text: bytes, start: int) -> Mapping[str, str]:
    end = text.find(b"\n\n", start)
    return parse_paragraph(_decoded(text[start : end if end >= 0 else len(text)]))


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _canonical(text: bytes) -> bytes:
    """Return an index whose paragraphs begin with their names, one empty line between two.

    Every tool that makes indexes writes them so; what is not written so is read whole, and written again.
    """
    names = text.count(b"\n" + _FIRST) + text.startswith(_FIRST)
    paragraphs = text.count(b"\n\n", 0, len(text) - 2) + 1 if text.strip(b"\n") else 0
    well_begun = sum(1 for _ in _FOLLOWING.finditer(text)) + text.startswith(_FIRST)
    if names == paragraphs == well_begun:
        return text
    written = []
    for fields in parse_paragraphs(_decoded(text), only=_WANTED):
        if "package" in fields:
            values = {name: fields.get(name.lower(), "").replace("\n", " ") for name in _WANTED}
            written.append("".join(f"{name}: {value}\n" for name, value in values.items() if value))
    return "\n".join(written).encode("utf-8", "surrogateescape")
