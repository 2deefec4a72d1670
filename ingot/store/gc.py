"""Collection of garbage: what the store holds, how large it is, and what can go."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingot.bake.locks import is_locked
from ingot.bake.rights import remove_tree
from ingot.store.store import Store


@dataclass(frozen=True)
class Usage:
    """One part of the store: how many things, and the bytes that they occupy on disk."""

    part: str
    count: int
    size: int


@dataclass(frozen=True)
class Removed:
    """What a collection removed: images, layers and packages, and the bytes that became free."""

    images: tuple[str, ...]
    layers: int
    packages: int
    size: int


def usage(store: Store) -> list[Usage]:
    """Return the parts of the store with their sizes."""
    return [
        Usage("packages", len(_packages(store)), _size(store.packages)),
        Usage("layers", len(_layers(store)), _size(store.layers)),
        Usage("images", len(store.all_images()), _size(store.images)),
    ]


def collect(store: Store, *, images: int, layers: int, progress: Callable[[str], None]) -> Removed:
    """Keep the ``images`` images and ``layers`` layers that were used last, and the packages of the images that stay; remove the rest.

    What a bake holds a lock of is left alone. Packages that no image names can be fetched again by their digest.
    """
    before = _size(store.root)
    store.remove_leftovers()
    remove_tree(store.root / "kept")  # root directories of failed bakes
    gone = [
        image for image in store.all_images()[images:] if not is_locked(store.work / f"{image.digest}.lock")
    ]
    for image in gone:
        progress(f"removing image {image.digest[:12]} ({image.name})")
        _remove_whole(image.directory)
    old_layers = _layers(store)[layers:]
    for layer in old_layers:
        progress(f"removing layer {layer.name[:12]}")
        _remove_whole(layer)
    packages = _unused_packages(store)
    for package in packages:
        package.unlink()
    return Removed(
        tuple(image.digest for image in gone), len(old_layers), len(packages), before - _size(store.root)
    )


def _layers(store: Store) -> list[Path]:
    """Return the layers, the one used last first, without those that a bake works on."""
    found = [path for path in store.layers.glob("*") if path.is_dir() and path.suffix != ".tmp"]
    free = [path for path in found if not is_locked(store.layers / f"{path.name}.lock")]
    return sorted(free, key=lambda path: (-path.stat().st_mtime, path.name))


def _packages(store: Store) -> list[Path]:
    return sorted(store.packages.glob("??/*.deb"))


def _unused_packages(store: Store) -> list[Path]:
    """Return the packages that no image was made of. While a bake is at work, none: it may have fetched them a moment ago."""
    if any(is_locked(lock) for lock in store.work.glob("*.lock")):
        return []
    used = {digest for image in store.all_images() for digest in image.manifest.get("package_files", ())}
    return [package for package in _packages(store) if package.stem not in used]


def _remove_whole(directory: Path) -> None:
    """Remove a directory so that a killed removal leaves no half of it under its name."""
    doomed = directory.with_name(f"{directory.name}.tmp")
    directory.rename(doomed)
    remove_tree(doomed)


def _size(directory: Path) -> int:
    """Return the bytes that a directory occupies: holes of sparse files do not count, nor what this user may not look into."""
    size = 0
    for place, directories, files in os.walk(directory):
        for name in (*directories, *files):
            try:
                size += os.lstat(f"{place}/{name}").st_blocks * 512
            except OSError:  # gone meanwhile, or in a layer's directory that is closed to all but its owner
                continue
    return size
