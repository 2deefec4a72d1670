"""Where the bytes of an image are: by package, as dpkg's own lists on the disk tell, and by directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingot.bake.disk import read_ext4
from ingot.store.image import Image
from ingot.store.package_files import package_files


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
    if not image.disk.exists():  # a builder instance baked it: what the packages say of themselves
        return sorted(
            (
                PackageSize(p["name"], p["version"], int(p["installed_kib"]) * 1024, 0)
                for p in manifest["packages"]
            ),
            key=_largest_first,
        )
    files = {file["path"]: file for file in manifest["files"]}
    with read_ext4(image.disk) as reader:
        lists = dict(package_files(files, files, reader.read))
    left = {path: int(file["size"]) for path, file in files.items() if file["type"] == "file"}
    found = []
    for package in manifest["packages"]:
        names = (package["name"], f"{package['name']}:{package['architecture']}")
        sizes = [left.pop(path) for name in names for path in lists.get(name, ()) if path in left]
        found.append(PackageSize(package["name"], package["version"], sum(sizes), len(sizes)))
    found.append(PackageSize("", "", sum(left.values()), len(left)))
    return sorted(found, key=_largest_first)


def _largest_first(package: PackageSize) -> tuple[int, str]:
    return -package.size, package.name


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
