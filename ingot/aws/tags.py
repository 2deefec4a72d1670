"""The tags on every resource that a publish makes: by them it is found again, and by them it is cleaned up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, TagTypeDef

RECIPE = "ingot:recipe"
DIGEST = "ingot:digest"
VERSION = "ingot:version"
ROOT_DIGEST = "ingot:root-digest"
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
