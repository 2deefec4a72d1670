"""Where the bytes of an image are: by package, as dpkg's own lists on the disk tell, and by directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ingot.bake.disk import read_ext4
from ingot.store.image import Image

LISTS = "/var/lib/dpkg/info/"


@dataclass(frozen=True)
class PackageSize:
    """A package and the bytes of its files that are in the image; ``name`` is "" for files of no package."""

    name: str
    version: str
    size: int
    files: int


@dataclass(frozen=True)
class DirectorySize:
    """A directory and the bytes of all files below it."""

    path: str
    size: int
    files: int

    @property
    def depth(self) -> int:
        """0 for the root."""
        return 0 if self.path == "/" else self.path.count("/")


def package_sizes(image: Image) -> list[PackageSize]:
    """Return what each package occupies, the largest first, and what no package owns.

    Reads dpkg's lists from the disk. A file of several packages counts for the first one by name. What the
    recipe drops, such as documentation, is not in the image and does not count.
    """
    manifest = image.manifest
    left = {file["path"]: int(file["size"]) for file in manifest["files"] if file["type"] == "file"}
    links = {file["path"]: file["link"] for file in manifest["files"] if file["type"] == "symlink"}
    listed = {
        file["path"][len(LISTS) : -len(".list")]
        for file in manifest["files"]
        if file["path"].startswith(LISTS) and file["path"].endswith(".list")
    }
    found = []
    if not image.disk.exists():  # a builder instance baked it: what the packages say of themselves
        return sorted(
            (
                PackageSize(p["name"], p["version"], int(p["installed_kib"]) * 1024, 0)
                for p in manifest["packages"]
            ),
            key=lambda package: (-package.size, package.name),
        )
    with read_ext4(image.disk) as reader:
        for package in manifest["packages"]:
            size = count = 0
            # Packages that can be installed for several architectures have theirs in the name: dpkg-query(1).
            for name in (package["name"], f"{package['name']}:{package['architecture']}"):
                if name not in listed:
                    continue
                lines = reader.read(f"{LISTS}{name}.list").decode("utf-8", "surrogateescape").splitlines()
                sizes = [left.pop(path) for path in _real(lines, links) if path in left]
                size, count = size + sum(sizes), count + len(sizes)
            found.append(PackageSize(package["name"], package["version"], size, count))
    found.append(PackageSize("", "", sum(left.values()), len(left)))
    return sorted(found, key=lambda package: (-package.size, package.name))


def _real(paths: Iterable[str], links: Mapping[str, str]) -> Iterable[str]:
    """Give the paths as they are in a merged /usr: a package's /bin/sh is /usr/bin/sh."""
    for path in paths:
        top = "/".join(path.split("/", 2)[:2])
        yield f"/{links[top].lstrip('/')}{path[len(top) :]}" if top in links and top != path else path


def directory_sizes(manifest: Mapping[str, Any]) -> list[DirectorySize]:
    """Return every directory with the bytes of all files below it, sorted by path."""
    sizes: dict[str, int] = {"/": 0}
    counts: dict[str, int] = {}
    for file in manifest["files"]:
        if file["type"] == "directory":
            sizes.setdefault(file["path"], 0)
        if file["type"] != "file":
            continue
        directory = file["path"]
        while directory != "/":
            directory = directory.rpartition("/")[0] or "/"
            sizes[directory] = sizes.get(directory, 0) + int(file["size"])
            counts[directory] = counts.get(directory, 0) + 1
    return [DirectorySize(path, sizes[path], counts.get(path, 0)) for path in sorted(sizes)]
