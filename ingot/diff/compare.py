"""What differs between two images: from their manifests and, where available, their disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.diff import dangers
from ingot.diff.blocks import Blocks, compare_blocks
from ingot.diff.changes import Change, Named, compare_named, compare_services, compare_values
from ingot.diff.files.changes import FileChange, compare_files
from ingot.diff.files.secrets import Mask, masked
from ingot.diff.files.text import with_texts
from ingot.diff.packages.changelog import with_changelogs
from ingot.diff.packages.changes import Package, PackageChange, compare_packages
from ingot.diff.ports import listening_ports
from ingot.diff.sides.side import Side

FORMAT = 1


@dataclass(frozen=True)
class ImageIdentity:
    """Which image one side of a diff is; ``epoch`` is in seconds.

    ``packages_by_size``: names and installed KiB, the largest first.
    """

    name: str
    recipe_digest: str
    version: str
    architecture: str
    epoch: int
    root_digest: str | None
    packages_by_size: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> ImageIdentity:
        """Return the identity of the image with this manifest."""
        sizes = [(package["name"], int(package["installed_kib"])) for package in manifest["packages"]]
        return cls(
            manifest["name"],
            manifest["recipe_digest"],
            manifest["version"],
            manifest["architecture"],
            manifest["epoch"],
            manifest["disk"].get("root_digest"),
            tuple(sorted(sizes, key=lambda pair: (-pair[1], pair[0]))),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types, without the packages."""
        return {key: value for key, value in vars(self).items() if key != "packages_by_size"}


@dataclass(frozen=True)
class ImageDiff:
    """The difference.

    Lists are sorted by name; sizes are bytes unless a name says KiB; ``notes`` say what could not be told.
    """

    before: ImageIdentity | None
    after: ImageIdentity | None
    system: Sequence[Change[str]]
    packages: Sequence[PackageChange]
    dependencies: Sequence[Change[Named]]
    stages: Sequence[Change[Named]]
    users: Sequence[Change[Named]]
    groups: Sequence[Change[Named]]
    services: Sequence[Change[str]]
    files: Sequence[FileChange]
    ports: Sequence[Change[Named]]
    tests: Sequence[Change[Named]]
    hygiene: Sequence[Change[str]]
    size: Sequence[Change[int]]
    blocks: Blocks
    dangerous: list[str]
    notes: list[str]

    @property
    def empty(self) -> bool:
        """Whether both images are the same.

        Another recipe digest alone (a comment in a test), or another stage that makes the same, makes no
        difference.
        """
        lists = (self.system, self.packages, self.users, self.groups, self.services, self.files, self.ports)
        return not any((*lists, self.dependencies, self.tests, self.hygiene, self.blocks.differing))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types.

        Names of files that are no UTF-8 have surrogate escapes, which JSON writes in ASCII.
        """
        lists = (
            "system",
            "packages",
            "dependencies",
            "stages",
            "users",
            "groups",
            "services",
            "files",
            "ports",
            "tests",
            "hygiene",
            "size",
        )
        return {
            "format": FORMAT,
            "before": self.before and self.before.to_json(),
            "after": self.after and self.after.to_json(),
            "empty": self.empty,
            "dangerous": list(self.dangerous),
            "notes": list(self.notes),
            **{name: [change.to_json() for change in getattr(self, name)] for name in lists},
            "blocks": self.blocks.to_json(),
            "packages_by_size": {
                "before": list(map(list, self.before.packages_by_size)) if self.before else [],
                "after": list(map(list, self.after.packages_by_size)) if self.after else [],
            },
        }


def image_diff(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    before_disk: Path | None,
    after_disk: Path | None,
    packages: Path | None = None,
) -> ImageDiff:
    """Compare two manifests; None is no image.

    The disks give owners of files, text diffs, ports and passwords; ``packages`` is the store's directory of
    packages, for changelogs that the images leave out. Raises InputError for a manifest that this version
    cannot read, BakeError for a disk.
    """
    with Side(before, before_disk) as old, Side(after, after_disk) as new:
        return _compare(old, new, packages)


def _compare(old: Side, new: Side, store: Path | None) -> ImageDiff:
    was, now = old.manifest, new.manifest
    packages = with_changelogs(
        compare_packages(*(tuple(map(Package.of, side["packages"])) for side in (was, now))), old, new, store
    )
    files, without_text = with_texts(compare_files(old, new, packages), old, new)
    users, groups = compare_named(was["users"], now["users"]), compare_named(was["groups"], now["groups"])
    mask = Mask("")  # commands and kernels are given secrets, too
    tests = compare_named(*(masked(mask, manifest["tests"]) for manifest in (was, now)))
    known = list(_known(_system(was), _system(now), old, new))
    system = compare_values(*masked(mask, known))
    allowed = compare_values(_allowed(was), _allowed(now))
    # A manifest that was made again from its disk does not know what the gate let pass.
    hygiene = allowed if all("hygiene" in side.manifest for side in (old, new) if side.exists) else []
    ports = dangers.port_changes(listening_ports(old), listening_ports(new)) if _comparable(old, new) else []
    found = [
        *dangers.port_dangers(ports),
        *dangers.file_dangers(files, new.users),
        *dangers.account_dangers(
            users, *(dangers.strong_members(m["users"], m["groups"]) for m in (was, now))
        ),
        *_passwords(old, new),
        *dangers.other_dangers(
            # Not the masked one: a mask may cover the words behind a secret.
            packages,
            tests,
            hygiene,
            [c for c in compare_values(*known) if c.name == "kernel command line"],
        ),
    ]
    return ImageDiff(
        before=ImageIdentity.of(was) if old.exists else None,
        after=ImageIdentity.of(now) if new.exists else None,
        system=system,
        packages=packages,
        dependencies=compare_named(*(manifest.get("dependencies", ()) for manifest in (was, now))),
        stages=compare_named(*(manifest.get("stages", ()) for manifest in (was, now))),
        users=users,
        groups=groups,
        services=compare_services(was["services"], now["services"]),
        files=files,
        ports=ports,
        tests=tests,
        hygiene=hygiene,
        size=compare_values(_size(was), _size(now)),
        blocks=compare_blocks(was["disk"], now["disk"]),
        # A new image is nothing that anybody relied on: all of it would be called out.
        dangerous=found if old.exists else [],
        notes=_notes(old, new, without_text),
    )


def _comparable(old: Side, new: Side) -> bool:
    """Tell whether both sides that exist have a disk: the ports of one alone would all seem new."""
    return all(side.has_disk for side in (old, new) if side.exists)


def _passwords(old: Side, new: Side) -> list[str]:
    if not (old.has_disk and new.has_disk):
        return []
    before, after = (dangers.passwords(side.read("/etc/shadow")) for side in (old, new))
    return list(dangers.password_dangers(before, after))


def _system(manifest: Mapping[str, Any]) -> dict[str, str]:
    if not manifest["os"]:
        return {}
    system, boot = manifest["os"], manifest["boot"]
    return {
        "operating system": str(system["pretty_name"]),
        "kernel": str(system["kernel"]),
        "architecture": str(manifest["architecture"]),
        "boot mode": str(boot.get("mode", "")),
        "kernel command line": str(boot.get("kernel_command_line", "")),
    }


def _known(
    before: dict[str, str], after: dict[str, str], old: Side, new: Side
) -> tuple[dict[str, str], dict[str, str]]:
    """Return both without what one of two images does not say."""
    if not (old.exists and new.exists):
        return before, after
    unknown = {key for key in before if not (before[key] and after.get(key))}
    kept = [{key: value for key, value in facts.items() if key not in unknown} for facts in (before, after)]
    return kept[0], kept[1]


def _allowed(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return what the recipe lets pass the hygiene gate, with its reason."""
    allowed = manifest.get("hygiene", {}).get("allowed", ())
    return {f"{entry['finding']} {entry['path']}": str(entry["reason"]) for entry in allowed}


def _size(manifest: Mapping[str, Any]) -> dict[str, int]:
    files = [file for file in manifest["files"] if file["type"] == "file"]
    return {
        "disk": int(manifest["size"].get("disk", 0)),
        "used": int(manifest["size"].get("used", 0)),
        "files": len(files),
        "packages": len(manifest["packages"]),
    }


def _notes(old: Side, new: Side, without_text: int) -> list[str]:
    notes = []
    missing = [
        word
        for word, side in (("the image before", old), ("the image after", new))
        if side.exists and not side.has_disk
    ]
    if missing:
        notes.append(
            f"the disk of {' and of '.join(missing)} is not on this machine: no text diffs, no ports, no"
            " owners of files"
        )
    if any(side.exists and "hygiene" not in side.manifest for side in (old, new)):
        notes.append(
            "a manifest was made again from its disk: the kernel command line and what the gate let pass are"
            " not compared"
        )
    if without_text:
        notes.append(f"{without_text:,} more files have no text diff, for there are too many")
    return notes
