"""Snapshot to AMI, and AMIs found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from ingot.aws.publish.image import Published, Subject
from ingot.aws.session import tags
from ingot.aws.session.failures import code_of, is_missing
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import ArchitectureValuesType, BootModeValuesType
    from mypy_boto3_ec2.type_defs import ImageTypeDef

    from ingot.aws.session.clients import Clients

# Seconds. An AMI of a completed snapshot is available within seconds.
AVAILABLE_LIMIT = 900.0
# Seconds until a new AMI is listed: EC2 is eventually consistent.
SHOWN_LIMIT = 60.0


def register_image(clients: Clients, subject: Subject, snapshot_id: str, publish_id: str) -> str:
    """Register the snapshot as an AMI and return its id.

    ENA, gp3, the subject's boot mode and root device (it equals the mapping's name), and clones that require IMDSv2. RegisterImage
    takes no ClientToken, but a name is unique: when the answer to the first try was lost, the retry is refused, and the AMI of this
    publish's name is ours.
    """
    told = subject.tags(publish_id) | tags.inventory_tags(subject.manifest.get("inventory", {}))
    architecture: ArchitectureValuesType = "arm64" if subject.architecture == "arm64" else "x86_64"
    try:
        answer = clients.ec2.register_image(
            Name=subject.ami_name(publish_id),
            Description=f"Ingot image {subject.recipe}, recipe digest {subject.digest}",
            Architecture=architecture,
            RootDeviceName=subject.root_device,
            BlockDeviceMappings=[
                {
                    "DeviceName": subject.root_device,
                    "Ebs": {"SnapshotId": snapshot_id, "VolumeType": "gp3", "DeleteOnTermination": True},
                }
            ],
            VirtualizationType="hvm",
            EnaSupport=True,
            BootMode=cast("BootModeValuesType", subject.boot_mode),
            ImdsSupport="v2.0",
            TagSpecifications=[{"ResourceType": "image", "Tags": tags.tag_list(told)}],
        )
    except ClientError as error:
        if code_of(error) != "InvalidAMIName.Duplicate":
            raise
        return _ours(clients, subject, publish_id)
    return answer["ImageId"]


def _ours(clients: Clients, subject: Subject, publish_id: str) -> str:
    name = subject.ami_name(publish_id)
    named: list[str] = []

    def shown() -> bool:
        named.extend(
            image["ImageId"]
            for image in clients.ec2.describe_images(
                Owners=["self"], Filters=[{"Name": "name", "Values": [name]}]
            )["Images"]
        )
        return bool(named)

    try:
        wait_until(shown, f"{name} to be shown", limit=SHOWN_LIMIT)
    except TimeoutError as error:
        raise PublishError(f"EC2 says that there is an AMI {name}, and does not show it: {error}") from error
    return named[0]


def wait_available(clients: Clients, ami_id: str) -> None:
    """Wait until the AMI can be launched; raise PublishError when it cannot."""

    def available() -> bool:
        image = describe(clients, ami_id)
        if image is not None and image["State"] in ("failed", "error", "invalid", "deregistered"):
            reason = image.get("StateReason", {}).get("Message", "no reason given")
            raise PublishError(f"{ami_id} is {image['State']}: {reason}")
        return image is not None and image["State"] == "available"

    try:
        wait_until(available, f"{ami_id} to become available", limit=AVAILABLE_LIMIT)
    except TimeoutError as error:
        raise PublishError(str(error)) from error


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


def find_by_digest(clients: Clients, recipe: str, digest: str, state: str) -> Published | None:
    """Return the account's own available AMI of a recipe digest in a state of publishing; None when there is none."""
    wanted = {tags.RECIPE: recipe, tags.DIGEST: digest, tags.STATE: state}
    images = clients.ec2.describe_images(Owners=["self"], Filters=tags.tag_filters(wanted))["Images"]
    usable = [image for image in images if image["State"] == "available"]
    return as_published(usable[0]) if usable else None


def as_published(image: ImageTypeDef) -> Published:
    """Return what is known of a published AMI, from its tags and its mapping."""
    told = tags.tags_of(image)
    return Published(
        ami_id=image["ImageId"],
        snapshot_id=snapshot_of(image),
        recipe=told.get(tags.RECIPE, ""),
        digest=told.get(tags.DIGEST, ""),
        root_digest=told.get(tags.ROOT_DIGEST, ""),
        reused=True,
    )


def snapshot_of(image: ImageTypeDef) -> str:
    """Return the id of the AMI's root snapshot; "" when it has none."""
    root = image.get("RootDeviceName")
    for mapping in image.get("BlockDeviceMappings", []):
        if mapping.get("DeviceName") == root:
            return mapping.get("Ebs", {}).get("SnapshotId", "")
    return ""


def mark(clients: Clients, resources: list[str], state: str) -> None:
    """Set the state of publishing on the tags of an AMI and its snapshot, in one call."""
    clients.ec2.create_tags(Resources=resources, Tags=tags.tag_list({tags.STATE: state}))
