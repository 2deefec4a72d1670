"""Base AMIs: looked up for a lock, and held against it before a builder boots one.

Every look-up names the owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ingot.aws.builder.placement import resolve_image
from ingot.aws.session.failures import code_of, is_missing
from ingot.errors import InputError, PublishError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef

    from ingot.aws.session.clients import Clients
    from ingot.spec import BaseAmiSpec

Ami = dict[str, Any]


def look_up(clients: Clients, source: Mapping[str, str], architecture: str) -> Ami:
    """Return what a recipe's ``base: {ami: …}`` is in the clients' region, as a lock has it.

    ``source`` has one of the keys ``id``, ``ssm``, ``name``, and perhaps ``owner``. Raises InputError: no
    such AMI, not shared with this account, of another architecture or owner.
    """
    image = _newest(clients, source, architecture) if "name" in source else _one(clients, source)
    problem = _unfit(image, architecture)
    if problem:
        raise InputError(f"the base AMI {image['ImageId']} in {clients.region} {problem}")
    return as_locked(image)


def as_locked(image: ImageTypeDef) -> Ami:
    """Return what a lock keeps of an AMI."""
    root = image["RootDeviceName"]
    sizes = [
        mapping.get("Ebs", {}).get("VolumeSize", 0)
        for mapping in image.get("BlockDeviceMappings", [])
        if mapping.get("DeviceName") == root
    ]
    return {
        "id": image["ImageId"],
        "owner": image["OwnerId"],
        "name": image["Name"],
        "created": image["CreationDate"],
        "root_device": root,
        "root_size": max([1, *sizes]),
        # What EC2 takes where an AMI names none: EC2 user guide, "Instance launch behavior with Amazon EC2
        # boot modes".
        "boot_mode": image.get("BootMode", "uefi" if image["Architecture"] == "arm64" else "legacy-bios"),
    }


def _newest(clients: Clients, source: Mapping[str, str], architecture: str) -> ImageTypeDef:
    filters: list[FilterTypeDef] = [
        {"Name": "name", "Values": [source["name"]]},
        {"Name": "architecture", "Values": [architecture]},
        {"Name": "state", "Values": ["available"]},
    ]
    images = clients.ec2.describe_images(Owners=[source["owner"]], Filters=filters)["Images"]
    if not images:
        raise InputError(
            f"{source['owner']} has no {architecture} AMI of the name {source['name']} in {clients.region} "
            "that this account may use",
            hint="is it the right owner, and is the AMI shared with this account?",
        )
    return max(images, key=lambda image: (image["CreationDate"], image["ImageId"]))


def _one(clients: Clients, source: Mapping[str, str]) -> ImageTypeDef:
    ami_id = source.get("id") or resolve_image(clients, source["ssm"])
    image = _describe(clients, ami_id, source.get("owner"))
    if image is None:
        whose = f" of {source['owner']}" if "owner" in source else ""
        raise InputError(
            f"there is no AMI {ami_id}{whose} in {clients.region} that this account may use",
            hint="an AMI is there in one region alone, and its owner has to share it with this account",
        )
    return image


def _describe(clients: Clients, ami_id: str, owner: str | None) -> ImageTypeDef | None:
    try:
        images = clients.ec2.describe_images(ImageIds=[ami_id], Owners=[owner] if owner else [])["Images"]
    except clients.ec2.exceptions.ClientError as error:
        if is_missing(error) or code_of(error) == "InvalidAMIID.Malformed":
            return None
        raise
    return images[0] if images else None


def _unfit(image: ImageTypeDef, architecture: str) -> str | None:
    """Return why an AMI cannot be a base; None when it can."""
    if image["Architecture"] != architecture:
        return f"is of {image['Architecture']}; the recipe is for {architecture}"
    if image["State"] != "available":
        return f"is not available: its state is {image['State']}"
    if image.get("RootDeviceType", "ebs") != "ebs" or image.get("Platform") == "windows":
        return "is no Linux image on EBS"
    if not image.get("EnaSupport", False):
        return "has no ENA support, which Nitro instances need"
    return _billed(image)


def _billed(image: ImageTypeDef) -> str | None:
    """Return what EC2 bills for an AMI besides the instance.

    An AMI made by RegisterImage loses that (EC2 API reference, RegisterImage: "billing product code"), and
    its clones their licence: RHEL, SLES, Windows, Ubuntu Pro, AMIs of the Marketplace.
    """
    codes = [code.get("ProductCodeId", "?") for code in image.get("ProductCodes", [])]
    if codes:
        return f"has the product code {', '.join(codes)}, which an AMI made from its disk would lose"
    platform = image.get("PlatformDetails", "Linux/UNIX")
    operation = image.get("UsageOperation", "RunInstances")
    if (platform, operation) != ("Linux/UNIX", "RunInstances"):
        return f"is billed as {platform} ({operation}), which an AMI made from its disk would lose"
    return None


def held_against(clients: Clients, base: Mapping[str, BaseAmiSpec], architecture: str) -> BaseAmiSpec:
    """Return the lock's AMI for the clients' region; raise PublishError when it is not what the lock says."""
    locked = base.get(clients.region)
    move = "run: ingot lock NAME --upgrade, with the recipe's name"
    if locked is None:
        known = ", ".join(sorted(base)) or "none"
        raise PublishError(
            f"the lock has no base AMI for {clients.region}; it has: {known}",
            hint=f"run: AWS_REGION={clients.region} ingot lock NAME, with the recipe's name",
        )
    # Not by the owner: whose it is now is what is asked.
    image = _describe(clients, locked.id, None)
    if image is None:
        raise PublishError(
            f"the base AMI {locked.id} ({locked.name}, of {locked.owner}) is gone from {clients.region}, "
            "or no longer shared with this account",
            hint=move,
        )
    if image["OwnerId"] != locked.owner:
        raise PublishError(
            f"the base AMI {locked.id} belongs to {image['OwnerId']}; the lock says {locked.owner}",
            hint=f"find out why before anything is built on it; then {move}",
        )
    if image["Name"] != locked.name:
        raise PublishError(
            f"the base AMI {locked.id} has the name {image['Name']}; the lock says {locked.name}",
            hint=move,
        )
    problem = _unfit(image, architecture)
    if problem:
        raise PublishError(f"the base AMI {locked.id} {problem}", hint=move)
    return locked
