"""What the text and the Markdown of an image diff have in common: groups, counts, sizes, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingot.diff.changes import ADDED, REMOVED, Change
from ingot.diff.compare import ImageDiff
from ingot.diff.files.changes import BOOKKEEPING, FileChange
from ingot.diff.packages.changes import Changelog, PackageChange

SIGNS = {
    "added": "+", "removed": "-", "changed": "~", "upgraded": "↑", "downgraded": "↓", "rebuilt": "~",
}  # fmt: skip


@dataclass(frozen=True)
class PackageGroup:
    """Packages of one source that moved together.

    ``kib`` is by how much they grew; of added and removed ones their size.
    """

    names: tuple[str, ...]
    change: str
    before: str | None
    after: str | None
    kib: int
    changelog: Changelog | None


def group_packages(packages: Sequence[PackageChange]) -> list[PackageGroup]:
    """Return the packages by source and versions, in the order of the names; added and removed ones alone."""
    groups: dict[tuple[object, ...], list[PackageChange]] = {}
    for package in packages:
        source = package.present.source or package.name
        alone = package.change in (ADDED, REMOVED)
        key = (package.change, package.name if alone else source, package.versions)
        groups.setdefault(key, []).append(package)
    return [
        PackageGroup(
            tuple(_name(package) for package in members),
            members[0].change,
            *members[0].versions,
            sum(package.kib[1] - package.kib[0] for package in members),
            next((package.changelog for package in members if package.changelog), None),
        )
        for members in groups.values()
    ]


def _name(package: PackageChange) -> str:
    return package.name if package.former_name is None else f"{package.former_name} → {package.name}"


def counts(changes: Sequence[Change[object] | PackageChange | FileChange]) -> str:
    """Return how many there are of each kind: `2 added, 1 removed`."""
    found = Counter(change.change for change in changes)
    return ", ".join(f"{found[kind]:,} {kind}" for kind in SIGNS if found[kind])


def counted(files: Sequence[FileChange]) -> list[FileChange]:
    """Return the files that count: what package managers keep books of follows from the packages."""
    return [change for change in files if change.origin != BOOKKEEPING]


def bookkeeping(files: Sequence[FileChange]) -> str | None:
    """Return the line about the others; None when there are none."""
    books = [change for change in files if change.origin == BOOKKEEPING]
    return f"bookkeeping (package lists, caches, digests): {counts(books)}" if books else None


def title(diff: ImageDiff) -> str:
    """Return which images are compared."""
    before, after = (
        None if side is None else f"{side.name} {side.version}" for side in (diff.before, diff.after)
    )
    if before is None or after is None:
        return f"{after} is new" if before is None else f"{before} is removed"
    return f"{before} → {after}"


def by_package(
    files: Sequence[FileChange], packages: Sequence[PackageChange]
) -> list[tuple[str, list[FileChange]]]:
    """Return the files of packages, by package, the one with most changes first.

    ``packages`` are those that moved: the files of one that has another name now, such as a kernel, are those
    of both names together.
    """
    labels: dict[str, str] = {}
    for package in packages:
        if package.former_name is not None:
            label = f"{package.former_name} → {package.present.name}"
            labels |= {package.former_name: label, package.present.name: label}
    found: dict[str, list[FileChange]] = {}
    for change in files:
        name = change.package or "scripts of packages"
        found.setdefault(labels.get(name, name), []).append(change)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
