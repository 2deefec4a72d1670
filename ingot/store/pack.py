"""The store as one file, for a cache between machines. Owners, links and holes of layers are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ingot.bake.runtime.rights import remove_tree
from ingot.errors import InputError
from ingot.files import UNFINISHED, replacing
from ingot.locks import locked
from ingot.process import CommandError
from ingot.progress import Progress
from ingot.store.layers import form, tar
from ingot.store.store import Store

# What a bake starts from and what a diff compares with. Records belong to their machine, work to its process.
PARTS = ("packages", "layers", "images")
# Locks, and what is being made: by their places alone, for a layer's own files may have any name.
LEFT_OUT = (
    "packages/./*.lock",
    f"packages/./??/.*{UNFINISHED}",
    "layers/./*.lock",
    "layers/./*.tmp",
    "layers/./*/disks/*.lock",
    "layers/./*/disks/*.tmp",
)


def pack(store: Store, archive: Path, progress: Progress) -> int:
    """Write the store to ``archive``, whole or not at all; return its size in bytes.

    Raises InputError if it cannot be written.
    """
    parts = [part for part in PARTS if (store.root / part).is_dir()]
    if not parts:
        raise InputError(f"there is nothing in the store {store.root}", hint="bake something first")
    progress(f"packing {', '.join(parts)} of {store.root}")
    # --dereference of the top alone: a store's parts may be links to another disk.
    words = [*form(archive), "--sparse", "--anchored", "--no-wildcards-match-slash"]
    words += [f"--exclude={pattern}" for pattern in LEFT_OUT]
    words += ["--directory", str(store.root), *(f"{part}/." for part in parts)]
    try:
        with replacing(archive.absolute()) as unfinished:
            tar(["--create", "--file", str(unfinished), *words])
    except OSError as error:  # of a file beside it that nobody asked for by name
        raise InputError(f"{archive} cannot be written: {error.strerror}") from error
    except CommandError as error:
        raise InputError(f"{archive} cannot be written: {error}") from error
    return archive.stat().st_size


@dataclass(frozen=True)
class Unpacked:
    """What a packed store brought: recipe digests of images, and the names of layers."""

    images: tuple[str, ...]
    layers: tuple[str, ...]


def unpack(store: Store, archive: Path, progress: Progress) -> Unpacked:
    """Put what ``archive`` holds into the store; what is there already stays. Return what is new.

    Raises InputError for a file that is not a packed store.
    """
    if not archive.is_file():
        raise InputError(f"there is no file {archive}")
    for part in PARTS:
        (store.root / part).mkdir(parents=True, exist_ok=True)
    progress(f"unpacking {archive} into {store.root}")
    with locked(
        store.work / "unpack.lock", waiting=lambda: progress("waiting: another process unpacks a store")
    ):
        aside = store.work / "unpack"
        remove_tree(aside)
        aside.mkdir(mode=0o700)
        try:
            _extract(store, archive, aside)
            layers, images = (
                tuple(
                    unpacked.name
                    for unpacked in sorted((aside / place.name).glob("*"))
                    if _admit(store, unpacked, place)
                )
                for place in (store.layers, store.images)
            )
        except CommandError as error:
            raise InputError(f"{archive} is not a packed store: {error}") from error
        finally:
            remove_tree(aside)
            store.close_to_others()  # the archive brings modes of its own
    return Unpacked(images, layers)


def _extract(store: Store, archive: Path, aside: Path) -> None:
    """Extract packages into the store, as their digests prove them, and layers and images aside.

    Those must appear in the store whole.
    """
    file = ["--file", str(archive), *form(archive)]
    names = tar(["--list", *file]).splitlines()
    foreign = [name for name in names if name.split("/", 1)[0] not in PARTS or ".." in name.split("/")]
    if foreign:
        raise InputError(f"{archive} is not a packed store: it holds {foreign[0]}")
    words = ["--extract", *file, "--anchored"]
    tar([*words, "--exclude=packages", "--directory", str(aside)])
    others = ("--exclude=layers", "--exclude=images")
    tar([*words, *others, "--skip-old-files", "--directory", str(store.root)])


def _admit(store: Store, unpacked: Path, place: Path) -> bool:
    """Put a layer or an image into the store, unless it is there; return whether it was put there."""
    target = place / unpacked.name
    lock = (place if place == store.layers else store.work) / f"{unpacked.name}.lock"
    with locked(lock, waiting=lambda: None):
        if target.exists():
            return False
        os.utime(unpacked)  # used just now, for the collection of garbage
        unpacked.rename(target)
        return True
