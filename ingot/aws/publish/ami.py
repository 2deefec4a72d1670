"""Snapshot to AMI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from ingot.aws.publish.cleanup.attempt import Attempt
from ingot.aws.publish.image import Subject
from ingot.aws.publish.publication import Publication
from ingot.aws.registry import amis
from ingot.aws.registry.published import Published
from ingot.aws.session import tags
from ingot.aws.session.failures import code_of
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError
from ingot.retry import SETTLING

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import ArchitectureValuesType, BootModeValuesType

    from ingot.aws.session.clients import Clients

# What an AMI's root is: those parameters of RegisterImage.
Root = Mapping[str, Any]
# Seconds. An AMI of a completed snapshot is available within seconds.
AVAILABLE_LIMIT = 900.0


def register_image(publication: Publication, root: Root, attempt: Attempt) -> str:
    """Register an AMI with that root, wait until it can be launched, and return its id.

    The subject's boot mode, and clones that require IMDSv2. RegisterImage takes no ClientToken, but a name is
    unique: when the answer to the first try was lost, the retry is refused, and the AMI of this publish's
    name is ours.
    """
    ami_id = _register(publication.clients, publication.subject, root, attempt.publish_id)
    attempt.record("image", ami_id)
    publication.progress(f"AMI {ami_id} registered")
    wait_available(publication.clients, ami_id)
    return ami_id


def root_volume(subject: Subject, snapshot_id: str) -> Root:
    """Return the root that is made of a snapshot: gp3; the mapping's name is the root device."""
    return {
        "RootDeviceName": subject.root_device,
        "BlockDeviceMappings": [
            {
                "DeviceName": subject.root_device,
                "Ebs": {"SnapshotId": snapshot_id, "VolumeType": "gp3", "DeleteOnTermination": True},
            }
        ],
        "EnaSupport": True,
    }


def _register(clients: Clients, subject: Subject, root: Root, publish_id: str) -> str:
    values = subject.tags(publish_id) | tags.inventory_tags(subject.manifest.get("inventory", {}))
    architecture: ArchitectureValuesType = "arm64" if subject.architecture == "arm64" else "x86_64"
    try:
        answer = clients.ec2.register_image(
            Name=subject.ami_name(publish_id),
            Description=f"Ingot image {subject.recipe}, recipe digest {subject.digest}",
            Architecture=architecture,
            VirtualizationType="hvm",
            BootMode=cast("BootModeValuesType", subject.boot_mode),
            ImdsSupport="v2.0",
            TagSpecifications=[{"ResourceType": "image", "Tags": tags.tag_list(values)}],
            **root,
        )
    except ClientError as error:
        if code_of(error) != "InvalidAMIName.Duplicate":
            raise
        return named(clients, subject.ami_name(publish_id))
    return answer["ImageId"]


def named(clients: Clients, name: str) -> str:
    """Return the id of the account's AMI of a name that EC2 has just said to be taken."""
    found: list[str] = []

    def shown() -> bool:
        found.extend(
            image["ImageId"]
            for image in clients.ec2.describe_images(
                Owners=["self"], Filters=[{"Name": "name", "Values": [name]}]
            )["Images"]
        )
        return bool(found)

    try:
        wait_until(shown, f"{name} to be shown", limit=SETTLING)
    except TimeoutError as error:
        raise PublishError(f"EC2 says that there is an AMI {name}, and does not show it: {error}") from error
    clients.recent.note(found[0])
    return found[0]


def wait_available(clients: Clients, ami_id: str, *, limit: float = AVAILABLE_LIMIT) -> None:
    """Wait until the AMI can be launched; raise PublishError when it cannot."""

    def available() -> bool:
        image = amis.describe(clients, ami_id)
        if image is not None and image["State"] in ("failed", "error", "invalid", "deregistered"):
            reason = image.get("StateReason", {}).get("Message", "no reason given")
            raise PublishError(f"{ami_id} is {image['State']}: {reason}")
        return image is not None and image["State"] == "available"

    try:
        wait_until(available, f"{ami_id} to become available", limit=limit)
    except TimeoutError as error:
        raise PublishError(str(error)) from error


def mark(clients: Clients, published: Published, state: str) -> None:
    """Set the state of publishing on the tags of an AMI and its snapshot, if it has one, in one call."""
    resources = [resource for resource in (published.ami_id, published.snapshot_id) if resource]
    clients.ec2.create_tags(Resources=resources, Tags=tags.tag_list({tags.STATE: state}))
