"""What a store holds, as a list for people: its images, and how large its parts are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingot.errors import IngotError
from ingot.store.gc import Usage, usage
from ingot.store.image import Image
from ingot.store.store import Store


@dataclass(frozen=True)
class KnownImage:
    """An image of the store: ``used``: when last, Unix seconds; ``size``: the bytes in use on its disk."""

    digest: str
    name: str
    used: float
    size: int


@dataclass(frozen=True)
class UnreadableImage:
    """An image of the store that cannot be used, and why."""

    digest: str
    problem: str


@dataclass(frozen=True)
class StoreContent:
    """What a store holds: its images, the one used last first, and how large each part is."""

    root: Path
    images: tuple[KnownImage | UnreadableImage, ...]
    parts: tuple[Usage, ...]


def content_of(store: Store) -> StoreContent:
    """Return what a store holds."""
    parts = tuple(usage(store))
    return StoreContent(store.root, tuple(map(_known, store.all_images())), parts)


def _known(image: Image) -> KnownImage | UnreadableImage:
    try:
        summary, used = image.summary, image.directory.stat().st_mtime
    except IngotError as error:
        return UnreadableImage(image.digest, error.message)
    return KnownImage(image.digest, summary.name, used, summary.used)
