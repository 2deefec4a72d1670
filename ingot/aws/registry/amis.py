"""AMIs as EC2 describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ingot.aws.session.failures import code_of, is_missing
from ingot.aws.session.tags import tag_filters

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef

    from ingot.aws.session.clients import Clients


def describe(clients: Clients, ami_id: str) -> ImageTypeDef | None:
    """Return an AMI as EC2 describes it; None when there is none of that id."""
    try:
        images = clients.ec2.describe_images(ImageIds=[ami_id])["Images"]
    except ClientError as error:
        # InvalidAMIID.Malformed: somebody wrote something else into the registry.
        if is_missing(error) or code_of(error) == "InvalidAMIID.Malformed":
            return None
        raise
    return images[0] if images else None


def describe_usable(clients: Clients, ami_id: str) -> ImageTypeDef | None:
    """Return an AMI that can be launched, now or in a moment; None when there is none of that id."""
    image = describe(clients, ami_id)
    return image if image is not None and image["State"] in ("available", "pending") else None


def pending(clients: Clients, values: Mapping[str, str]) -> list[ImageTypeDef]:
    """Return the caller's AMIs with these tags that are not whole yet."""
    filters: list[FilterTypeDef] = [*tag_filters(values), {"Name": "state", "Values": ["pending"]}]
    return clients.ec2.describe_images(Owners=["self"], Filters=filters)["Images"]


def snapshot_of(image: ImageTypeDef) -> str:
    """Return the id of the AMI's root snapshot; "" when it has none."""
    root = image.get("RootDeviceName")
    for mapping in image.get("BlockDeviceMappings", []):
        if mapping.get("DeviceName") == root:
            return mapping.get("Ebs", {}).get("SnapshotId", "")
    return ""
