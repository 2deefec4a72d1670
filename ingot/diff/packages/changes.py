"""Packages that were added, removed, upgraded or downgraded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ingot.deb822 import compare_versions
from ingot.diff.changes import ADDED, REMOVED

# What of a name says its version: linux-image-6.1.0-50-cloud-amd64 is followed by
# linux-image-6.1.0-56-cloud-amd64.
_NUMBERS = re.compile(r"\d[\d.-]*")
UPGRADED, DOWNGRADED, REBUILT = "upgraded", "downgraded", "rebuilt"
_CVE = re.compile(r"\bCVE-\d{4}-\d{4,}\b")


class Package(NamedTuple):
    """A package of a manifest. ``source``: its source package; ``sha256``: its file in the store, in hex."""

    name: str
    version: str
    architecture: str | None
    installed_kib: int
    source: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Package:
        """Return the package that a manifest has as ``plain``."""
        return cls(
            plain["name"],
            plain["version"],
            plain["architecture"],
            plain["installed_kib"],
            plain.get("source"),
            plain.get("sha256"),
        )


@dataclass(frozen=True)
class ChangelogEntry:
    """One version's entry. ``date`` is RFC 5322 text, as the entry has it."""

    version: str
    distribution: str
    date: str
    text: str


@dataclass(frozen=True)
class Changelog:
    """The entries between two versions, newest first.

    ``origin`` is `image` or `package`; ``left_out`` counts what was too much.
    """

    entries: tuple[ChangelogEntry, ...]
    origin: str
    left_out: int

    @property
    def cves(self) -> tuple[str, ...]:
        """The vulnerabilities that the entries name, the newest first."""
        found = {cve for entry in self.entries for cve in _CVE.findall(entry.text)}
        return tuple(sorted(found, key=lambda cve: [-int(part) for part in cve.split("-")[1:]]))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "origin": self.origin,
            "cves": list(self.cves),
            "left_out": self.left_out,
            "entries": [vars(entry) for entry in self.entries],
        }


@dataclass(frozen=True)
class PackageChange:
    """One package.

    ``rebuilt``: the version is the same, the architecture or the file of the package is not. Sizes are KiB.

    ``before`` has another name when the version is part of the names, as those of kernels.
    """

    name: str
    change: str
    before: Package | None
    after: Package | None
    changelog: Changelog | None = None

    @property
    def versions(self) -> tuple[str | None, str | None]:
        """The version before and after; None when it is not there."""
        old, new = self.before, self.after
        return None if old is None else old.version, None if new is None else new.version

    @property
    def present(self) -> Package:
        """The package as it is now, or as it was when it is gone."""
        present = self.after or self.before
        assert present is not None, self.name  # noqa: S101 - a change of nothing is none
        return present

    @property
    def former_name(self) -> str | None:
        """The name before, when it was another."""
        if self.before is None or self.after is None or self.before.name == self.after.name:
            return None
        return self.before.name

    @property
    def kib(self) -> tuple[int, int]:
        """The installed size before and after."""
        sizes = [package.installed_kib if package else 0 for package in (self.before, self.after)]
        return sizes[0], sizes[1]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        before, after = self.versions
        return {
            "name": self.name,
            "former_name": self.former_name,
            "change": self.change,
            "before": before,
            "after": after,
            "before_kib": self.kib[0],
            "after_kib": self.kib[1],
            "architecture": self.present.architecture,
            "source": self.present.source,
            "changelog": None if self.changelog is None else self.changelog.to_json(),
        }


def compare_packages(before: Sequence[Package], after: Sequence[Package]) -> list[PackageChange]:
    """Compare two manifests' packages, sorted by name. Several architectures of one package count apart."""
    both = Counter(package.name for package in before), Counter(package.name for package in after)
    many = {name for counted in both for name, number in counted.items() if number > 1}
    old, new = _by_name(before, many), _by_name(after, many)
    _rename(old, new)
    changes = []
    for name in sorted({*old, *new}):
        change = _change(old.get(name), new.get(name))
        if change is not None:
            changes.append(PackageChange(name, change, old.get(name), new.get(name)))
    return changes


def _by_name(packages: Sequence[Package], many: set[str]) -> dict[str, Package]:
    return {f"{p.name}:{p.architecture}" if p.name in many else p.name: p for p in packages}


def _rename(old: dict[str, Package], new: dict[str, Package]) -> None:
    """Give packages of ``old`` the name of their successor in ``new``.

    It has the same source, and the same name but for the version in it.
    """
    gone = {_stem(old[name]): name for name in sorted(old.keys() - new.keys())}
    for name in sorted(new.keys() - old.keys()):
        former = gone.pop(_stem(new[name]), None)
        if former is not None:
            old[name] = old.pop(former)


def _stem(package: Package) -> tuple[str | None, str, str | None]:
    return package.source, _NUMBERS.sub("#", package.name), package.architecture


def _change(old: Package | None, new: Package | None) -> str | None:
    if old is None:
        return ADDED
    if new is None:
        return REMOVED
    order = compare_versions(old.version, new.version)
    if order:
        return UPGRADED if order < 0 else DOWNGRADED
    same_file = None in (old.sha256, new.sha256) or old.sha256 == new.sha256
    return None if same_file and old.architecture == new.architecture else REBUILT
