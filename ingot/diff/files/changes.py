"""Files that were added, removed or changed: content, kind, mode, owner, link, extended attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ingot.bake.tree.tree import encode
from ingot.diff.changes import ADDED, CHANGED, REMOVED
from ingot.diff.packages.changes import PackageChange
from ingot.diff.sides.side import Side
from ingot.quantities import size
from ingot.recipe.schema.capabilities import XATTR, capability_names

File = Mapping[str, Any]
# Where a change comes from. Bookkeeping follows from the others: lists, caches, digests of the image itself.
RECIPE, PACKAGE, BOOKKEEPING = "recipe", "package", "bookkeeping"
# These are rebuilt with every image, on top of the recipe as well.
_IMAGE_BOOKS = frozenset(
    {"/etc/ingot/image.json", "/etc/ld.so.cache", "/usr/lib/ingot/baseline/image", "/var/lib/dpkg/status"}
)
# Below these are books, unless the recipe brings a file itself.
_KEPT_BOOKS = (
    "/usr/lib/ingot/baseline",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/systemd",
    "/var/lib/ucf",
    "/var/log",
)


@dataclass(frozen=True)
class TextDiff:
    """The lines of a unified diff without its file names.

    ``note`` says why there are none, or which are left out.
    """

    lines: tuple[str, ...]
    added: int = 0
    removed: int = 0
    masked: int = 0
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {**vars(self), "lines": list(self.lines)}


@dataclass(frozen=True)
class FileChange:
    """One path.

    ``aspects`` names what differs of a changed one; ``package`` is the package that brings it, where known.

    ``owners`` are "user:group" before and after, by name.
    """

    path: str
    change: str
    before: File | None
    after: File | None
    origin: str
    package: str | None
    aspects: tuple[str, ...] = ()
    owners: tuple[str | None, str | None] = (None, None)
    text: TextDiff | None = None

    @property
    def present(self) -> File:
        """The file as it is now, or as it was when it is gone."""
        return self.after or self.before or {}

    @property
    def description(self) -> str:
        """What of the file is new, changed or gone, in a few words."""
        old, new = self.before, self.after
        if old is None or new is None:
            present = self.present
            what = size(present["size"]) if present["type"] == "file" else str(present["type"])
            owner = self.owners[1] or self.owners[0]
            link = f" → {present['link']}" if present["type"] == "symlink" else ""
            power = capability_names(capability(present))
            return f"{what}{link}, {present['mode']} {owner}" + (f", {power}" if power else "")
        words = []
        for aspect in self.aspects:
            if aspect in ("mode", "type", "link"):
                words.append(f"{aspect} {old.get(aspect)} → {new.get(aspect)}")
            elif aspect == "owner":
                words.append(f"owner {self.owners[0]} → {self.owners[1]}")
            elif aspect == "content":
                words.append(f"content, {size(old['size'])} → {size(new['size'])}")
            elif aspect == "capabilities":
                names = [capability_names(capability(file)) or "none" for file in (old, new)]
                words.append(f"capabilities {names[0]} → {names[1]}")
            else:
                words.append("extended attributes")
        return "; ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "path": self.path,
            "change": self.change,
            "type": self.present["type"],
            "origin": self.origin,
            "package": self.package,
            "aspects": list(self.aspects),
            "description": self.description,
            "before": _plain(self.before, self.owners[0]),
            "after": _plain(self.after, self.owners[1]),
            "text": None if self.text is None else self.text.to_json(),
        }


def _plain(file: File | None, owner: str | None) -> dict[str, Any] | None:
    if file is None:
        return None
    return {
        **{key: value for key, value in file.items() if key not in ("path", "type")},
        "owner": owner,
        "type": file["type"],
    }


def capability(file: File | None) -> str:
    """Return a file's capabilities as hex of the attribute, "" without."""
    return "" if file is None else str(file.get("xattrs", {}).get(XATTR, ""))


def _owner(side: Side, file: File | None) -> str | None:
    if file is None:
        return None
    uid, gid = file["uid"], file["gid"]
    return f"{side.users.get(uid, uid)}:{side.groups.get(gid, gid)}"


def compare_files(before: Side, after: Side, packages: Iterable[PackageChange]) -> list[FileChange]:
    """Return what differs, sorted by the bytes of the path."""
    old, new = before.files, after.files
    paths = [path for path, file in new.items() if old.get(path) != file]
    paths += [path for path in old if path not in new]
    paths.sort(key=encode)
    # Reading the owners takes the disks: not when nothing differs.
    owned = (before.owners, after.owners) if paths else ({}, {})
    moved = {str(side["name"]) for package in packages for side in (package.before, package.after) if side}
    changes = []
    for path in paths:
        aspects = _aspects(old.get(path), new.get(path))
        if aspects is None:
            continue
        package = owned[1].get(path) or owned[0].get(path)
        origin = _origin(path, old.get(path), new.get(path), package, moved)
        if path not in new and path in owned[1] and origin == PACKAGE:
            origin = RECIPE  # its package still lists it: somebody else took it away
        change = ADDED if path not in old else REMOVED if path not in new else CHANGED
        owners = (_owner(before, old.get(path)), _owner(after, new.get(path)))
        changes.append(
            FileChange(path, change, old.get(path), new.get(path), origin, package, aspects, owners)
        )
    return changes


def _aspects(old: File | None, new: File | None) -> tuple[str, ...] | None:
    """Return what differs of a file that is on both sides; None when it is only which layer holds it."""
    if old is None or new is None:
        return ()
    found = [key for key in ("type", "mode") if old[key] != new[key]]
    if (old["uid"], old["gid"]) != (new["uid"], new["gid"]):
        found.append("owner")
    if old.get("sha256") != new.get("sha256"):
        found.append("content")
    if old.get("link") != new.get("link"):
        found.append("link")
    if capability(old) != capability(new):
        found.append("capabilities")
    if {**old.get("xattrs", {}), XATTR: ""} != {**new.get("xattrs", {}), XATTR: ""}:
        found.append("attributes")
    return tuple(found) or None


def _origin(path: str, old: File | None, new: File | None, package: str | None, moved: set[str]) -> str:
    if path in _IMAGE_BOOKS:
        return BOOKKEEPING
    if any(file is not None and file.get("layer") for file in (old, new)):
        return RECIPE
    if any(path == top or path.startswith(f"{top}/") for top in _KEPT_BOOKS) or path.endswith(".pyc"):
        return BOOKKEEPING
    # What no list names was made by a package's scripts, as long as a package moved at all.
    return PACKAGE if (moved if package is None else package in moved) else RECIPE
