"""What the text and the Markdown of an image diff have in common: groups, counts, sizes, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingot.review.image_diff import ImageDiff
from ingot.review.image_diff_accounts import Change
from ingot.review.image_diff_changelog import Changelog
from ingot.review.image_diff_dangers import capability_names
from ingot.review.image_diff_files import FileChange, capability
from ingot.review.image_diff_packages import ADDED, REMOVED, PackageChange

SIGNS = {
    "added": "+", "removed": "-", "changed": "~", "upgraded": "↑", "downgraded": "↓", "rebuilt": "~",
}  # fmt: skip


@dataclass(frozen=True)
class PackageGroup:
    """Packages of one source that moved together. ``kib`` is by how much they grew; of added and removed ones their size."""

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
        source = (package.after or package.before or {}).get("source", package.name)
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


def size(number: float, *, sign: bool = False) -> str:
    """Return bytes for people, in IEC units: `3.5 MiB`."""
    mark = "" if not sign else "+" if number > 0 else "−" if number < 0 else ""
    value = abs(number)
    if sign and not value:
        return "±0"
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            digits = 0 if unit == "bytes" or value >= 100 else 1
            return f"{mark}{value:.{digits}f} {'byte' if abs(number) == 1 else unit}"
        value /= 1024
    return f"{mark}{value:.1f} GiB"


def counts(changes: Sequence[Change | PackageChange | FileChange]) -> str:
    """Return how many there are of each kind: `2 added, 1 removed`."""
    found = Counter(change.change for change in changes)
    return ", ".join(f"{found[kind]:,} {kind}" for kind in SIGNS if found[kind])


def describe_file(change: FileChange) -> str:
    """Return what of a file is new, changed or gone, in a few words."""
    old, new = change.before, change.after
    if old is None or new is None:
        there = change.present
        what = size(there["size"]) if there["type"] == "file" else str(there["type"])
        owner = change.owners[1] or change.owners[0]
        link = f" → {there['link']}" if there["type"] == "symlink" else ""
        power = capability_names(capability(there))
        return f"{what}{link}, {there['mode']} {owner}" + (f", {power}" if power else "")
    words = []
    for aspect in change.aspects:
        if aspect in ("mode", "type", "link"):
            words.append(f"{aspect} {old.get(aspect)} → {new.get(aspect)}")
        elif aspect == "owner":
            words.append(f"owner {change.owners[0]} → {change.owners[1]}")
        elif aspect == "content":
            words.append(f"content, {size(old['size'])} → {size(new['size'])}")
        elif aspect == "capabilities":
            names = [capability_names(capability(file)) or "none" for file in (old, new)]
            words.append(f"capabilities {names[0]} → {names[1]}")
        else:
            words.append("extended attributes")
    return "; ".join(words)


def describe_change(change: Change) -> str:
    """Return what changed of a user, a group, a test or a fact of the system."""
    old, new = change.before, change.after
    if old is None or new is None:
        return _value(new if old is None else old)
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in sorted({*old, *new}) if key != "name" and old.get(key) != new.get(key)]
        return "; ".join(f"{key} {_value(old.get(key))} → {_value(new.get(key))}" for key in keys)
    return f"{_value(old)} → {_value(new)}"


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items() if key != "name")
    if isinstance(value, (list, tuple)):
        return "(" + " ".join(_value(item) for item in value) + ")"
    return str(value)


def title(diff: ImageDiff) -> str:
    """Return which images are compared."""
    before, after = (
        None if side is None else f"{side['name']} {side['version']}" for side in (diff.before, diff.after)
    )
    if before is None or after is None:
        return f"{after} is new" if before is None else f"{before} is removed"
    return f"{before} → {after}"


def by_package(files: Sequence[FileChange]) -> list[tuple[str, list[FileChange]]]:
    """Return the files of packages, by package, the one with most changes first."""
    found: dict[str, list[FileChange]] = {}
    for change in files:
        found.setdefault(change.package or "scripts of packages", []).append(change)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def number(count: int, noun: str) -> str:
    """Return a count with its noun: `1 entry`, `2 entries`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {noun if count == 1 else plural}"
