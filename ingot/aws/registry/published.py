"""Published images: the AMI of a recipe digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.aws.registry import amis, entries
from ingot.aws.session import tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

    from ingot.aws.session.clients import Clients

# Gives the manifest of a recipe digest; None when it is not known on this machine.
ManifestOf = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Published:
    """A published image. ``reused``: the AMI existed before; ``blocks_sent`` is then 0."""

    ami_id: str
    snapshot_id: str
    recipe: str
    digest: str
    root_digest: str
    blocks_sent: int = 0
    reused: bool = False

    def as_dict(self) -> dict[str, str]:
        """Return what scripts and the CDK asset need."""
        return {
            "ami": self.ami_id,
            "snapshot": self.snapshot_id,
            "digest": self.digest,
            "root_digest": self.root_digest,
        }


def find(clients: Clients, recipe: str, digest: str) -> Published | None:
    """Return the published image of a recipe digest; None when there is none.

    An entry whose AMI is gone counts as none.
    """
    ami_id = entries.lookup(clients.ssm, recipe, digest)
    image = None if ami_id is None else amis.describe_usable(clients, ami_id)
    return None if image is None else as_published(image)


def find_by_digest(clients: Clients, recipe: str, digest: str, state: str) -> Published | None:
    """Return the account's own available AMI of a recipe digest in a state of publishing, or None."""
    wanted = {tags.RECIPE: recipe, tags.DIGEST: digest, tags.STATE: state}
    images = clients.ec2.describe_images(Owners=["self"], Filters=tags.tag_filters(wanted))["Images"]
    usable = [image for image in images if image["State"] == "available"]
    return as_published(usable[0]) if usable else None


def as_published(image: ImageTypeDef) -> Published:
    """Return what is known of a published AMI, from its tags and its mapping."""
    values = tags.tags_of(image)
    return Published(
        ami_id=image["ImageId"],
        snapshot_id=amis.snapshot_of(image),
        recipe=values.get(tags.RECIPE, ""),
        digest=values.get(tags.DIGEST, ""),
        root_digest=values.get(tags.ROOT_DIGEST, ""),
        reused=True,
    )
