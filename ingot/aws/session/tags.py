"""The tags on every resource of a publish: it is found and cleaned up by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, TagTypeDef

RECIPE = "ingot:recipe"
DIGEST = "ingot:digest"
VERSION = "ingot:version"
ROOT_DIGEST = "ingot:root-digest"
# One tag for each section of the inventory, its digest: the longest value of a tag, 256 characters, does not
# hold all six. With them any machine can judge a clone, whether it ever baked the image or not, and they come
# and go with the AMI.
INVENTORY = "ingot:inventory:"
# The archive that the image was restored from.
ARCHIVE = "ingot:archive"
# The id of the AMI that EC2 stored, of one that it restored from that.
STORED_AS = "ingot:stored-as"
PUBLISH_ID = "ingot:publish-id"
STATE = "ingot:state"

# Values of STATE. A resource is in progress until the registry names the AMI; an AMI published with --no-test
# stays untested, and the registry never names it.
IN_PROGRESS = "in-progress"
PUBLISHED = "published"
UNTESTED = "untested"


def tag_list(values: Mapping[str, str]) -> list[TagTypeDef]:
    """Return tags as AWS's lists of keys and values."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def tag_filters(values: Mapping[str, str]) -> list[FilterTypeDef]:
    """Return the filters that select resources with all of these tags."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in values.items()]


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a resource as EC2 describes it."""
    listed: Iterable[Mapping[str, str]] = resource.get("Tags", [])
    return {tag["Key"]: tag["Value"] for tag in listed}


def inventory_tags(sections: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that hold the digests of an inventory's sections."""
    return {f"{INVENTORY}{section}": digest for section, digest in sections.items()}


def inventory_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the inventory's sections from an AMI's tags; empty when they are not there."""
    return {key.removeprefix(INVENTORY): value for key, value in values.items() if key.startswith(INVENTORY)}
