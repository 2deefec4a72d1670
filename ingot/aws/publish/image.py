"""What a publish needs of a baked image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ingot.aws.publish.blocks import BlockMap
from ingot.aws.session import tags
from ingot.errors import PublishError
from ingot.quantities import GIB
from ingot.spec import BakeSpec


class DiskImage(Protocol):
    """A baked image: `ingot.store` gives it."""

    @property
    def disk(self) -> Path:
        """The raw disk."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, as its JSON file holds it."""

    @property
    def digest(self) -> str:
        """The recipe digest."""


@dataclass(frozen=True)
class Subject:
    """The image that is being published: what AWS learns of its manifest."""

    recipe: str
    digest: str
    version: str
    architecture: str
    blocks: BlockMap
    manifest: Mapping[str, Any]
    # Those of our own disks; an image on a base AMI has the base's.
    root_device: str = "/dev/xvda"
    boot_mode: str = "uefi"
    # Whether the root is on an instance store: the AMI stands on a bundle in S3, not on a snapshot.
    on_instance_store: bool = False
    # Where it was restored from.
    archive: str | None = None

    @classmethod
    def of(cls, image: DiskImage) -> Subject:
        """Read them from the manifest; raises IngotError when it is damaged or contradicts itself."""
        manifest = image.manifest
        try:
            return cls(
                recipe=str(manifest["name"]),
                digest=image.digest,
                version=str(manifest["version"]),
                architecture={"amd64": "x86_64"}.get(manifest["architecture"], str(manifest["architecture"])),
                blocks=BlockMap.of(manifest),
                manifest=manifest,
                boot_mode=str(manifest.get("boot", {}).get("mode", "uefi")),
                on_instance_store=manifest.get("root_device") == "instance-store",
            )
        except (LookupError, TypeError, ValueError) as error:
            raise PublishError(
                f"the manifest of the image {image.digest[:12]} is damaged: {error!r}",
                hint="bake the image again: ingot bake --force NAME",
            ) from error

    @classmethod
    def announced(cls, spec: BakeSpec) -> Subject:
        """Read them from the bake spec of an image that is not baked yet: its blocks are unknown, so it has
        no root digest.

        An image on a base AMI is a whole volume: its size is rounded up to GiB.
        """
        size = spec.root_volume_size
        return cls(
            recipe=spec.name,
            digest=spec.recipe_digest,
            version=spec.version,
            architecture=spec.architecture,
            blocks=BlockMap.empty(-(-size // GIB) * GIB if spec.base is not None else size),
            manifest={},
        )

    def ami_name(self, publish_id: str) -> str:
        """Return the AMI's name: unique, even when two machines publish one digest."""
        return f"ingot/{self.recipe}/{self.version}/{publish_id[:12]}"

    def tags(self, publish_id: str) -> dict[str, str]:
        """Return the tags of every resource of this publish."""
        known = {tags.ROOT_DIGEST: self.blocks.root_digest} if self.blocks.root_digest else {}
        if self.archive is not None:
            known[tags.ARCHIVE] = self.archive
        return {
            "Name": f"ingot {self.recipe} {self.version}",
            tags.RECIPE: self.recipe,
            tags.DIGEST: self.digest,
            tags.VERSION: self.version,
            **known,
            tags.PUBLISH_ID: publish_id,
            tags.STATE: tags.IN_PROGRESS,
        }
