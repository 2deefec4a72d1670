"""Collection of garbage: what the store holds, how large it is, and what can go.

What has not been used for longest goes first. What is in use stays: an image that is baked or used, a layer
that a running bake may have picked, packages while any bake runs. This is decided by the locks that
:mod:`ingot.store.store` describes, so several collections and bakes may run at once.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingot.bake.runtime.rights import remove_tree
from ingot.errors import IngotError
from ingot.files import remove_aside
from ingot.locks import is_locked, locked, try_locked
from ingot.progress import Progress
from ingot.store.image import Image
from ingot.store.store import Store

DAY = 86400.0


@dataclass(frozen=True)
class Usage:
    """One part of the store: how many things, and the bytes that they occupy on disk."""

    part: str
    count: int
    size: int


@dataclass(frozen=True)
class Bounds:
    """What a collection leaves: at most so many images and layers, and at most ``size`` bytes in all.

    Nothing stays that was not used for ``days``. None: no bound. ``wanted``: recipe digests of images
    that stay whatever the bounds say.
    """

    images: int | None = None
    layers: int | None = None
    days: float | None = None
    size: int | None = None
    wanted: Collection[str] = ()


@dataclass(frozen=True)
class Removed:
    """What a collection removed: images, layers and packages, and the bytes that became free."""

    images: tuple[str, ...]
    layers: int
    packages: int
    size: int


@dataclass(frozen=True)
class _Candidate:
    """Something that may go: ``used``: when last, Unix seconds."""

    path: Path
    used: float
    beyond: bool  # a bound other than the size says that it goes


def usage(store: Store) -> list[Usage]:
    """Return the parts of the store with their sizes."""
    return [
        Usage("packages", len(_packages(store)), _size(store.packages)),
        Usage("layers", len(_layers(store)), _size(store.layers)),
        Usage("images", len(store.all_images()), _size(store.images)),
    ]


def collect(store: Store, bounds: Bounds, progress: Progress) -> Removed:
    """Remove what is beyond the bounds, leftovers of killed bakes, kept root directories and unused packages.

    A package is unused when no image of the store is made of it. Packages can be fetched again by their
    digests; layers and images can be built again, byte for byte.
    """
    with locked(store.root / "collection.lock", waiting=lambda: progress("waiting: another collection runs")):
        return _collect(store, bounds, progress)


def _collect(store: Store, bounds: Bounds, progress: Progress) -> Removed:
    before = _size(store.root)
    store.remove_leftovers()
    remove_tree(store.root / "kept")  # root directories of failed bakes
    images, layers = _images(store, bounds), _candidates(_layers(store), bounds.layers, bounds)
    gone: list[str] = []
    lost_layers = 0
    for candidate in sorted([*images, *layers], key=lambda found: (not found.beyond, found.used)):
        # Counted again each time: layers share files, so what one leaves free shows only when it is gone.
        if not candidate.beyond and (bounds.size is None or _held_size(store) <= bounds.size):
            continue
        is_image = candidate in images
        done = (_remove_image if is_image else _remove_layer)(store, candidate.path, progress)
        if done:
            gone += [candidate.path.name] if is_image else []
            lost_layers += not is_image
    packages = _remove_packages(store, progress)
    _remove_locks(store)
    return Removed(tuple(gone), lost_layers, packages, max(0, before - _size(store.root)))


def _images(store: Store, bounds: Bounds) -> list[_Candidate]:
    found = [image.directory for image in store.all_images() if image.digest not in bounds.wanted]
    spared = sum(image.digest in bounds.wanted for image in store.all_images())
    most = None if bounds.images is None else max(0, bounds.images - spared)
    return _candidates(found, most, bounds)


def _candidates(newest_first: list[Path], most: int | None, bounds: Bounds) -> list[_Candidate]:
    oldest = None if bounds.days is None else time.time() - bounds.days * DAY
    found = []
    for number, path in enumerate(newest_first):
        used = path.stat().st_mtime
        beyond = (most is not None and number >= most) or (oldest is not None and used < oldest)
        found.append(_Candidate(path, used, beyond))
    return found


def _layers(store: Store) -> list[Path]:
    """Return the layers, the one used last first."""
    found = [path for path in store.layers.glob("*") if path.is_dir() and path.suffix != ".tmp"]
    return sorted(found, key=lambda path: (-path.stat().st_mtime, path.name))


def _packages(store: Store) -> list[Path]:
    return sorted(file for file in store.packages.glob("??/*") if not file.name.startswith("."))


def _remove_image(store: Store, directory: Path, progress: Progress) -> bool:
    """Remove an image, unless somebody bakes or uses it; say whether it is gone."""
    digest = directory.name
    with _held(store.work / f"{digest}.lock", store.work / f"{digest}.use.lock") as free:
        if not free:
            progress(f"image {digest[:12]} is in use: it stays")
            return False
        progress(f"removing image {digest[:12]} ({_name(Image(digest, directory))})")
        remove_aside(directory, store.work / f"{digest}.gone", remove_tree)
    return True


def _remove_layer(store: Store, layer: Path, progress: Progress) -> bool:
    """Remove a layer, unless a running bake may have picked it; say whether it is gone.

    A bake says that it runs before it picks its layers, and picking sets their time, under this lock.
    """
    with try_locked(store.layers / f"{layer.name}.lock") as free:
        if not free or any(layer.stat().st_mtime >= since for since in _running(store)):
            progress(f"layer {layer.name[:12]} is in use: it stays")
            return False
        progress(f"removing layer {layer.name[:12]}")
        remove_aside(layer, layer.with_name(f"{layer.name}.tmp"), remove_tree)
    return True


def _running(store: Store) -> list[float]:
    """Return since when each bake runs that runs now, Unix seconds."""
    locks = [lock for lock in store.work.glob("*.lock") if not lock.name.endswith(".use.lock")]
    return [lock.stat().st_mtime for lock in locks if is_locked(lock)]


def _remove_packages(store: Store, progress: Progress) -> int:
    """Remove the packages that no image of the store is made of.

    While a bake runs, all of them stay: it may be about to use them.
    """
    if not store.packages.is_dir():
        return 0
    with try_locked(store.packages / "in-use.lock") as free:
        if not free:
            progress("a bake is running: all packages stay")
            return 0
        used = {digest for image in store.all_images() for digest in _package_files(image)}
        unused = [package for package in _packages(store) if package.stem not in used]
        for package in unused:
            package.unlink()
    return len(unused)


def _remove_locks(store: Store) -> None:
    """Remove lock files that nobody holds and whose image or layer is gone, as :mod:`ingot.locks` permits."""
    for directory, things in ((store.work, store.images), (store.layers, store.layers)):
        for lock in sorted(directory.glob("*.lock")) if directory.is_dir() else ():
            if not (things / lock.name.split(".")[0]).exists():
                with try_locked(lock) as free:
                    if free:
                        lock.unlink()


def _package_files(image: Image) -> Collection[str]:
    try:
        return image.summary.package_files
    except IngotError:  # a damaged manifest: baking the image again fetches its packages again
        return ()


def _name(image: Image) -> str:
    try:
        return image.name
    except IngotError:
        return "damaged"


@contextmanager
def _held(*files: Path) -> Iterator[bool]:
    """Hold all these locks if all are free; give whether they are held."""
    with ExitStack() as stack:
        yield all(stack.enter_context(try_locked(file)) for file in files)


def _held_size(store: Store) -> int:
    return sum(_size(part) for part in (store.packages, store.layers, store.images))


def _size(directory: Path) -> int:
    """Return the bytes that a directory occupies.

    Holes of sparse files and directories that this user may not read do not count. A file with several names
    counts once: layers that build on each other share files.
    """
    size = 0
    seen = set()
    for place, directories, files in os.walk(directory):
        for name in (*directories, *files):
            try:
                status = os.lstat(f"{place}/{name}")
            except OSError:  # gone meanwhile, or in a layer's directory that is closed to all but its owner
                continue
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            size += status.st_blocks * 512
    return size
