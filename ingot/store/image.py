"""A disk image in the store, and what its manifest says of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ingot.store.manifest import read_manifest, read_summary


class ImageSummary(NamedTuple):
    """An image in a list. ``used``: bytes of its disk that are in use; ``package_files``: SHA-256 digests."""

    name: str
    used: int
    package_files: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """A disk image in the store. ``digest`` is the recipe digest, in hex."""

    digest: str
    directory: Path

    @property
    def disk(self) -> Path:
        """The raw disk, a sparse file."""
        return self.directory / "disk.raw"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is in the image; some megabytes, kept from the first use on.

        Raises InputError when the file is damaged, or a newer Ingot wrote it.
        """
        return read_manifest(self._manifest_file, self.digest)

    @cached_property
    def summary(self) -> ImageSummary:
        """The little of the manifest that lists of images need. Raises as :attr:`manifest`."""
        return ImageSummary(*read_summary(self._manifest_file, self.digest))

    @property
    def _manifest_file(self) -> Path:
        return self.directory / "manifest.json"

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.summary.name

    @property
    def root_digest(self) -> str:
        """The digest over all blocks of the disk."""
        return str(self.manifest["disk"]["root_digest"])
