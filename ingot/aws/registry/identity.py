"""Is an AMI the image that something says it is? Decided here, for every command, by the AMI's owner and
tags.

Whoever may write a parameter may write any AMI's id into the registry. An AMI's tags are written by those who
may publish, so an entry is believed only when the AMI says the same of itself, and belongs to the registry's
account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.aws.session import tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef


@dataclass(frozen=True)
class Claim:
    """What an AMI is said to be: the published image of a recipe digest, in ``account``.

    ``root_digest``: that of the local manifest; None without one.
    """

    recipe: str
    digest: str
    account: str
    root_digest: str | None = None


@dataclass(frozen=True)
class AmiIdentity:
    """What an AMI says of itself by its tags ("" where it has none), and the account that owns it."""

    ami_id: str
    owner: str
    recipe: str
    digest: str
    root_digest: str
    state: str

    @classmethod
    def of(cls, image: ImageTypeDef) -> AmiIdentity:
        """Read it from an AMI as EC2 describes it."""
        values = tags.tags_of(image)
        return cls(
            ami_id=image["ImageId"],
            owner=image.get("OwnerId", ""),
            recipe=values.get(tags.RECIPE, ""),
            digest=values.get(tags.DIGEST, ""),
            root_digest=values.get(tags.ROOT_DIGEST, ""),
            state=values.get(tags.STATE, ""),
        )

    def problems(self, claim: Claim) -> list[str]:
        """Return, in words, what contradicts the claim; empty when the AMI is what it is said to be."""
        found = []
        if self.owner != claim.account:
            found.append(f"it belongs to the account {self.owner}, not to {claim.account}")
        wanted = {
            tags.RECIPE: (self.recipe, claim.recipe, ""),
            tags.DIGEST: (self.digest, claim.digest, ""),
            tags.STATE: (self.state, tags.PUBLISHED, ""),
            tags.ROOT_DIGEST: (self.root_digest, claim.root_digest, "the manifest on this machine says "),
        }
        for tag, (value, expected, source) in wanted.items():
            if not value:
                found.append(f"it has no tag {tag}")
            elif expected is not None and value != expected:
                found.append(f"its {tag} is {value}, {source or 'not '}{expected}")
        return found


def root_digest_of(manifest: Mapping[str, Any] | None) -> str | None:
    """Return the root digest that every bake of a manifest's recipe digest must have; None when there is no
    such one.

    An image on a base AMI has the packages of the day: another machine's bake of it has another root digest.
    """
    return None if manifest is None or "base" in manifest else str(manifest["disk"]["root_digest"])
