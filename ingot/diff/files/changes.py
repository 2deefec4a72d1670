"""Files that were added, removed or changed: content, kind, mode, owner, link, extended attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from ingot.bake.tree.tree import encode
from ingot.diff.changes import ADDED, CHANGED, REMOVED
from ingot.diff.packages.changes import PackageChange
from ingot.diff.sides.side import Side
from ingot.quantities import size
from ingot.recipe.schema.capabilities import XATTR, capability_names

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
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
_BELOW_BOOKS = tuple(f"{top}/" for top in _KEPT_BOOKS)


class File(NamedTuple):
    """A file of a manifest.

    ``mode`` is octal text, ``size`` bytes; ``layer`` 1 stands for what the recipe changed on its packages;
    ``xattrs`` are the values of extended attributes by name, in hex. (A named tuple: a new image has 100,000,
    and a dataclass takes four times as long to make.)
    """

    path: str
    type: str
    mode: str
    uid: int
    gid: int
    size: int
    sha256: str | None = None
    link: str | None = None
    layer: int = 0
    xattrs: Mapping[str, str] = _NO_ATTRIBUTES

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> File:
        """Return the file that a manifest has as ``plain``."""
        return cls(
            plain["path"],
            plain["type"],
            plain["mode"],
            plain["uid"],
            plain["gid"],
            plain["size"],
            plain.get("sha256"),
            plain.get("link"),
            plain.get("layer", 0),
            plain.get("xattrs", _NO_ATTRIBUTES),
        )

    @property
    def bits(self) -> int:
        """The mode as a number."""
        return int(self.mode, 8)

    @property
    def capability(self) -> str:
        """The file's capabilities as hex of the attribute, "" without."""
        return self.xattrs.get(XATTR, "")

    def to_json(self, owner: str | None) -> dict[str, Any]:
        """Return it as JSON's types, with its owner as "user:group" and without its path."""
        plain: dict[str, Any] = {"gid": self.gid}
        if self.layer:
            plain["layer"] = self.layer
        if self.link is not None:
            plain["link"] = self.link
        plain["mode"] = self.mode
        if self.sha256 is not None:
            plain["sha256"] = self.sha256
        plain |= {"size": self.size, "uid": self.uid}
        if self.xattrs:
            plain["xattrs"] = dict(self.xattrs)
        return plain | {"owner": owner, "type": self.type}


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
        present = self.after or self.before
        assert present is not None, self.path  # noqa: S101 - a change of nothing is none
        return present

    @property
    def description(self) -> str:
        """What of the file is new, changed or gone, in a few words."""
        old, new = self.before, self.after
        if old is None or new is None:
            present = self.present
            what = size(present.size) if present.type == "file" else present.type
            owner = self.owners[1] or self.owners[0]
            link = f" → {present.link}" if present.type == "symlink" else ""
            power = capability_names(present.capability) if present.xattrs else ""
            return f"{what}{link}, {present.mode} {owner}" + (f", {power}" if power else "")
        words = []
        for aspect in self.aspects:
            if aspect in ("mode", "type", "link"):
                words.append(f"{aspect} {getattr(old, aspect)} → {getattr(new, aspect)}")
            elif aspect == "owner":
                words.append(f"owner {self.owners[0]} → {self.owners[1]}")
            elif aspect == "content":
                words.append(f"content, {size(old.size)} → {size(new.size)}")
            elif aspect == "capabilities":
                names = [capability_names(file.capability) or "none" for file in (old, new)]
                words.append(f"capabilities {names[0]} → {names[1]}")
            else:
                words.append("extended attributes")
        return "; ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "path": self.path,
            "change": self.change,
            "type": self.present.type,
            "origin": self.origin,
            "package": self.package,
            "aspects": list(self.aspects),
            "description": self.description,
            "before": self.before and self.before.to_json(self.owners[0]),
            "after": self.after and self.after.to_json(self.owners[1]),
            "text": None if self.text is None else self.text.to_json(),
        }


def _owner(side: Side, file: File | None) -> str | None:
    if file is None:
        return None
    return f"{side.users.get(file.uid, file.uid)}:{side.groups.get(file.gid, file.gid)}"


def compare_files(before: Side, after: Side, packages: Iterable[PackageChange]) -> list[FileChange]:
    """Return what differs, sorted by the bytes of the path."""
    old, new = before.files, after.files
    paths = [path for path, file in new.items() if old.get(path) != file]
    paths += [path for path in old if path not in new]
    paths.sort(key=encode)
    # Reading the owners takes the disks: not when nothing differs.
    owned = (before.owners, after.owners) if paths else ({}, {})
    moved = {side.name for package in packages for side in (package.before, package.after) if side}
    changes = []
    for path in paths:
        was = File.of(old[path]) if path in old else None
        now = File.of(new[path]) if path in new else None
        aspects = _aspects(was, now)
        if aspects is None:
            continue
        package = owned[1].get(path) or owned[0].get(path)
        origin = _origin(path, (was, now), package, moved)
        if path not in new and path in owned[1] and origin == PACKAGE:
            origin = RECIPE  # its package still lists it: somebody else took it away
        change = ADDED if path not in old else REMOVED if path not in new else CHANGED
        owners = (_owner(before, was), _owner(after, now))
        changes.append(FileChange(path, change, was, now, origin, package, aspects, owners))
    return changes


def _aspects(old: File | None, new: File | None) -> tuple[str, ...] | None:
    """Return what differs of a file that is on both sides; None when it is only which layer holds it."""
    if old is None or new is None:
        return ()
    found = []
    if old.type != new.type:
        found.append("type")
    if old.mode != new.mode:
        found.append("mode")
    if old.uid != new.uid or old.gid != new.gid:
        found.append("owner")
    if old.sha256 != new.sha256:
        found.append("content")
    if old.link != new.link:
        found.append("link")
    if old.xattrs != new.xattrs:
        if old.capability != new.capability:
            found.append("capabilities")
        if {**old.xattrs, XATTR: ""} != {**new.xattrs, XATTR: ""}:
            found.append("attributes")
    return tuple(found) or None


def _origin(path: str, sides: tuple[File | None, File | None], package: str | None, moved: set[str]) -> str:
    if path in _IMAGE_BOOKS:
        return BOOKKEEPING
    if (sides[0] and sides[0].layer) or (sides[1] and sides[1].layer):
        return RECIPE
    if path.startswith(_BELOW_BOOKS) or path in _KEPT_BOOKS or path.endswith(".pyc"):
        return BOOKKEEPING
    # What no list names was made by a package's scripts, as long as a package moved at all.
    return PACKAGE if (moved if package is None else package in moved) else RECIPE
