"""Where an archive is: a bucket and a prefix, and the keys of what is in it.

::

    PREFIX/files/AB/ABCD…               a package or artifact, by its SHA-256: a shared store has these too
    PREFIX/layers/DIGEST.json           which of the files is a layer, packed; in a shared store
    PREFIX/blocks/AB/ABCD…              one block of 512 KiB, by its SHA-256; shared by all images
    PREFIX/images/RECIPE/DIGEST.json    the manifest of an image; it is written last
    PREFIX/images/RECIPE/DIGEST.cdx.json    its bill of materials (CycloneDX)
    PREFIX/stored/RECIPE/DIGEST.json    the record of an AMI that EC2 stored: AMI-ID.bin, without a prefix
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ingot.errors import InputError

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
# What S3 calls safe characters: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(?:/[A-Za-z0-9!_.*'()-]+)*")


class ArchiveKind(StrEnum):
    """Who writes the bytes of an archive, and in which form."""

    BLOCKS = "blocks"
    STORE_IMAGE = "store-image"


@dataclass(frozen=True)
class ArchiveLocation:
    """A bucket and a prefix; the prefix has no slash at its ends and may be empty."""

    bucket: str
    prefix: str

    @classmethod
    def read(cls, url: str) -> ArchiveLocation:
        """Read ``s3://BUCKET[/PREFIX]``; raise InputError for anything else."""
        match = _URL.fullmatch(url)
        prefix = "" if match is None else (match[2] or "").rstrip("/")
        if match is None or (prefix and not _PREFIX.fullmatch(prefix)):
            raise InputError(
                f"{url!r} is not the location of an archive",
                hint="name a bucket and a prefix: s3://my-bucket/images",
            )
        return cls(match[1], prefix)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, *parts: str) -> str:
        """Return the key of an object below the prefix."""
        return "/".join([*([self.prefix] if self.prefix else []), *parts])

    @property
    def blocks(self) -> str:
        """What the keys of all blocks begin with."""
        return self.key("blocks", "")

    @property
    def images(self) -> str:
        """What the keys of all manifests begin with."""
        return self.key("images", "")

    def block(self, digest: str) -> str:
        """Return the key of the block with this SHA-256."""
        return self.key("blocks", digest[:2], digest)

    def file(self, digest: str) -> str:
        """Return the key of the package or artifact with this SHA-256."""
        return self.key("files", digest[:2], digest)

    def layer(self, digest: str) -> str:
        """Return the key of what says which file is the layer with this digest."""
        return self.key("layers", f"{digest}.json")

    def manifest(self, recipe: str, digest: str) -> str:
        """Return the key of an image's manifest."""
        return self.key("images", recipe, f"{digest}.json")

    @property
    def all_stored(self) -> str:
        """What the keys of all records of stored AMIs begin with."""
        return self.key("stored", "")

    def stored(self, recipe: str, digest: str) -> str:
        """Return the key of the record of a stored AMI."""
        return self.key("stored", recipe, f"{digest}.json")

    def bill_of_materials(self, recipe: str, digest: str) -> str:
        """Return the key of an image's bill of materials."""
        return self.key("images", recipe, f"{digest}.cdx.json")
