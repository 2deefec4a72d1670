"""A store behind this machine's own, which other machines use as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ingot.progress import Progress
from ingot.store.image import Image


class SharedStore(Protocol):
    """Packages and artifacts by SHA-256, layers and images by digest; each verified when it is read.

    It may have nothing, and take nothing: no call fails because of that.
    """

    def fetch(self, wanted: Mapping[str, Path], progress: Progress) -> frozenset[str]:
        """Write files, by the SHA-256 of each, where it has them; return the digests of those."""

    def keep(self, files: Mapping[str, Path], progress: Progress) -> None:
        """Take files, by the SHA-256 of each."""

    def fetch_layer(self, digest: str, archive: Path, progress: Progress) -> bool:
        """Write a packed layer to a new file; return whether it was there."""

    def keep_layer(
        self, digest: str, archive: Path, pack: Callable[[Path], None], progress: Progress
    ) -> None:
        """Take a layer unless it is there: ``pack`` writes it to ``archive``."""

    def fetch_image(self, recipe: str, digest: str, directory: Path, progress: Progress) -> bool:
        """Write an image's files into ``directory``, whole; return whether it was there."""

    def keep_image(self, image: Image, progress: Progress) -> None:
        """Take an image."""
