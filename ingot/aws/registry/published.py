"""Published images: the AMI of a recipe digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ingot.aws.registry import amis, entries
from ingot.aws.registry.identity import AmiIdentity, Claim, root_digest_of
from ingot.aws.session import tags
from ingot.errors import VerificationError

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


def no_manifest(_digest: str) -> Mapping[str, Any] | None:
    """Know no manifest."""
    return None


def find(
    clients: Clients, recipe: str, digest: str, manifest_of: ManifestOf = no_manifest
) -> Published | None:
    """Return the published image of a recipe digest; None when there is none.

    An entry whose AMI is gone counts as none. Raises VerificationError for an entry that names something else
    than this digest's image: see :mod:`ingot.aws.registry.identity`.
    """
    entry = entries.read(clients.ssm, recipe, digest)
    image = None if entry is None else amis.describe_usable(clients, entry.ami_id)
    if entry is None or image is None:
        return None
    claim = Claim(recipe, digest, entry.account, root_digest_of(manifest_of(digest)))
    problems = AmiIdentity.of(image).problems(claim)
    if problems:
        raise VerificationError(
            f"the registry's entry {entry.name} names {entry.ami_id}, "
            f"which is not the image of {recipe} {digest[:12]}: {'; '.join(problems)}",
            hint="find out who wrote the entry; then remove it, and publish again: "
            f"aws ssm delete-parameter --name {entry.name}",
        )
    return as_published(image)


def find_by_digest(
    clients: Clients, recipe: str, digest: str, state: str, manifest_of: ManifestOf = no_manifest
) -> Published | None:
    """Return the account's own available AMI of a recipe digest in a state of publishing, or None.

    Raises VerificationError when its root digest is not the manifest's.
    """
    wanted = {tags.RECIPE: recipe, tags.DIGEST: digest, tags.STATE: state}
    images = clients.ec2.describe_images(Owners=["self"], Filters=tags.tag_filters(wanted))["Images"]
    usable = [image for image in images if image["State"] == "available"]
    if not usable:
        return None
    identity = AmiIdentity.of(usable[0])
    # Owner, recipe, digest and state are what it was found by.
    claim = Claim(recipe, digest, identity.owner, root_digest_of(manifest_of(digest)))
    problems = replace(identity, state=tags.PUBLISHED).problems(claim)
    if problems:
        raise VerificationError(
            f"the tags of {identity.ami_id} say that it is {recipe} {digest[:12]}: {'; '.join(problems)}",
            hint="find out who made it; then remove it, and publish again: "
            f"aws ec2 deregister-image --image-id {identity.ami_id}",
        )
    return as_published(usable[0])


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
