"""Finds the changelogs of the packages that moved: once for all packages of one source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ingot.diff.packages.changelog import NAMES, Changelog, between, decompressed, read_from_package
from ingot.diff.packages.packages import DOWNGRADED, UPGRADED, PackageChange
from ingot.diff.sides.side import Side


def with_changelogs(
    changes: Sequence[PackageChange], before: Side, after: Side, packages: Path | None
) -> list[PackageChange]:
    """Return ``changes`` with the entries between the versions.

    They are read from the disk of the newer version, or, where the image leaves documentation out, from the package's file below
    ``packages``. Packages of one source share their changelog: the smallest file is read.
    """
    moved: dict[tuple[str, str | None, str | None], list[PackageChange]] = {}
    for change in changes:
        if change.change in (UPGRADED, DOWNGRADED):
            moved.setdefault(_source(change), []).append(change)

    def find(group: list[PackageChange]) -> Changelog | None:
        return _from_image(group, before, after) or _from_packages(group, packages)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        found = dict(zip(moved, pool.map(find, moved.values()), strict=True))
    return [replace(change, changelog=found.get(_source(change))) for change in changes]


def _source(change: PackageChange) -> tuple[str, str | None, str | None]:
    return str((change.after or change.before or {}).get("source", change.name)), *change.versions


def _ends(change: PackageChange) -> tuple[str, str]:
    """Return the older and the newer version."""
    before, after = change.versions
    pair = (str(before), str(after))
    return pair if change.change == UPGRADED else (pair[1], pair[0])


def _from_image(group: Sequence[PackageChange], before: Side, after: Side) -> Changelog | None:
    for change in group:
        side = after if change.change == UPGRADED else before
        name = change.name.partition(":")[0]
        for file in NAMES:
            content = side.read(side.follow(f"/usr/share/doc/{name}/{file}"))
            if content and (found := between(decompressed(content), *_ends(change), "image")):
                return found
    return None


def _from_packages(group: Sequence[PackageChange], packages: Path | None) -> Changelog | None:
    files = []
    for change in group:
        newer = (change.after if change.change == UPGRADED else change.before) or {}
        digest = newer.get("sha256")
        if packages is not None and digest:
            file = packages / digest[:2] / f"{digest}.deb"
            if file.is_file():
                files.append((file.stat().st_size, file))
    names = [change.name.partition(":")[0] for change in group]
    for _, file in sorted(files):
        if found := between(read_from_package(file, names), *_ends(group[0]), "package"):
            return found
    return None
