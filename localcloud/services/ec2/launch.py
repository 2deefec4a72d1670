"""What a launch is made of: the request, the launch template and the AMI put together, and what AWS refuses.

moto takes only some of a launch template's keys, and launches anything on anything. Source: EC2 API reference, RunInstances and
"Error codes"; messages as EC2 words them.
"""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.iam.models import iam_backends

from ingot.machines.qemu import NETWORK
from localcloud.core.moto_types import Moto
from localcloud.services.ec2.sizes import instance_type

REACHABLE = ipaddress.ip_network(NETWORK)


def resolve(backend: Moto, image_id: str | None, kwargs: dict[str, Any]) -> tuple[Moto, dict[str, Any]]:
    """Return the AMI and the arguments for moto's run_instances with everything filled in.

    ``kwargs`` are those of moto's ``run_instances``. Raises EC2ClientError for what AWS would refuse.
    """
    data = template_data(backend, kwargs)
    image = find_image(backend, image_id or data.get("ImageId"))
    if kwargs.get("is_instance_type_default", True) and data.get("InstanceType"):
        kwargs |= {"instance_type": data["InstanceType"], "is_instance_type_default": False}
    refuse(image, kwargs.get("instance_type", "m1.small"))
    kwargs["metadata_options"] = metadata_options(image, data, kwargs.get("metadata_options"))
    kwargs["block_device_mappings"] = mappings(image, data, kwargs.get("block_device_mappings"))
    if not kwargs.get("nics") and not kwargs.get("subnet_id") and data.get("NetworkInterfaces"):
        kwargs["nics"] = data["NetworkInterfaces"]
    kwargs["instance_initiated_shutdown_behavior"] = kwargs.get(
        "instance_initiated_shutdown_behavior"
    ) or data.get("InstanceInitiatedShutdownBehavior")
    _refuse_small(backend, kwargs["block_device_mappings"])
    _refuse_unknown(backend, data, kwargs.get("key_name") or data.get("KeyName"))
    _place(backend, kwargs)
    return image, kwargs


def _refuse_small(backend: Moto, devices: list[dict[str, Any]]) -> None:
    """Raise EC2ClientError for a volume that is smaller than its snapshot."""
    for mapping in devices:
        snapshot = backend.snapshots.get(mapping["Ebs"].get("SnapshotId"))
        size = mapping["Ebs"].get("VolumeSize")
        if snapshot is not None and size is not None and size < int(snapshot.volume.size):
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size >= {snapshot.volume.size}GB",
            )


def _refuse_unknown(backend: Moto, data: dict[str, Any], key: str | None) -> None:
    """Raise EC2ClientError for a key pair, or a launch template's instance profile, that is not there."""
    if key and key not in backend.key_pairs:
        raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    profile = data.get("IamInstanceProfile") or {}
    for field, what in (("Arn", "ARN"), ("Name", "name")):
        if profile.get(field) and not _profile_exists(backend, field, profile[field]):
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({profile[field]}) for parameter iamInstanceProfile.{field.lower()} is invalid. Invalid IAM Instance "
                f"Profile {what}",
            )


def _profile_exists(backend: Moto, field: str, value: str) -> bool:
    profiles = iam_backends[backend.account_id][backend.partition].instance_profiles.values()
    return any(value == (known.arn if field == "Arn" else known.name) for known in profiles)


def template_data(backend: Moto, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the launch template's version that the launch names; nothing when it names none.

    A copy, through and through: what a launch fills in is not the template's.
    """
    named = kwargs.get("launch_template")
    data: dict[str, Any] = copy.deepcopy(backend._get_template_from_args(named).data) if named else {}
    return data


def find_image(backend: Moto, image_id: str | None) -> Moto:
    """Return the AMI; raises what AWS says to one that is missing, unknown, deregistered, pending or disabled."""
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    image = backend.amis.get(image_id)
    if image is None and image_id not in backend.deleted_amis:
        raise InvalidAMIIdError([image_id])
    if image is None or image.state != "available":
        state = "deregistered" if image is None else image.state
        raise EC2ClientError(
            "InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available: it is {state}"
        )
    return image


def refuse(image: Moto, type_name: str) -> None:
    """Raise EC2ClientError where the AMI and the instance type do not fit together."""
    kind = instance_type(type_name)
    if kind is None:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{type_name}' for InstanceType.")
    if image.architecture not in kind.architectures:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The architecture '{','.join(kind.architectures)}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the "
            "architecture of the instance type or AMI.",
        )
    if image.virtualization_type != "hvm":
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Non-Windows instances with a virtualization type of '{image.virtualization_type}' are currently not supported for "
            "this instance type.",
        )
    if image.boot_mode in ("uefi", "legacy-bios") and image.boot_mode not in kind.boot_modes:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The instance type '{type_name}' does not support the boot mode '{image.boot_mode}' of the AMI '{image.id}'; it "
            f"supports {', '.join(kind.boot_modes)}.",
        )
    ena = INSTANCE_TYPES[type_name].get("NetworkInfo", {}).get("EnaSupport")
    if ena == "required" and not getattr(image, "ena_support", True):
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Enhanced networking with the Elastic Network Adapter (ENA) is required for the '{type_name}' instance type. "
            "Ensure that you are using an AMI that is enabled for ENA.",
        )
    if image.architecture not in ("x86_64", "i386"):
        raise EC2ClientError(
            "InsufficientInstanceCapacity",
            f"The local cloud runs x86_64 machines only; '{type_name}' with an AMI for {image.architecture} needs AWS.",
        )


def _place(backend: Moto, kwargs: dict[str, Any]) -> None:
    """Choose a default subnet where the launch names none (moto would fall back to EC2-Classic); check its addresses."""
    nics: list[dict[str, Any]] = kwargs.get("nics") or []
    subnet_id = kwargs.get("subnet_id") or next((nic["SubnetId"] for nic in nics if "SubnetId" in nic), None)
    if not subnet_id:
        defaults = backend.get_default_subnets()
        zone = kwargs.get("placement") or next(iter(sorted(defaults)), None)
        if zone not in defaults:
            raise EC2ClientError("VPCIdNotSpecified", "No default VPC for this user")
        subnet_id = defaults[zone].id
        if nics:
            nics[0]["SubnetId"] = subnet_id
        else:
            kwargs["subnet_id"] = subnet_id
    block = ipaddress.ip_network(backend.get_subnet(subnet_id).cidr_block)
    if not block.subnet_of(REACHABLE):  # type: ignore[arg-type]  # both are IPv4
        raise EC2ClientError(
            "Unsupported",
            f"The local cloud gives a machine its private address only inside {NETWORK}, for example in 172.20.0.0/16; subnet "
            f"{subnet_id} is {block}.",
        )


def metadata_options(image: Moto, data: dict[str, Any], asked: dict[str, Any] | None) -> dict[str, Any]:
    """Return the metadata options: the request's, then the template's, then what the AMI's ImdsSupport implies.

    An AMI with ImdsSupport v2.0 makes HttpTokens required and the hop limit 2 unless the launch says otherwise.
    """
    implied = (
        {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        if getattr(image, "imds_support", None) == "v2.0"
        else {}
    )
    return implied | dict(data.get("MetadataOptions") or {}) | dict(asked or {})


def mappings(image: Moto, data: dict[str, Any], asked: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return the block device mappings: each device of the AMI, overlaid by the template's and the request's keys.

    A device that the AMI does not have is a volume more: raises EC2ClientError when nothing says what is on it or how large it is.
    """
    devices: dict[str, dict[str, Any]] = {}
    for source in (image.block_device_mappings, data.get("BlockDeviceMappings") or [], asked or []):
        for mapping in source:
            name = mapping["DeviceName"]
            known = devices.setdefault(name, {"DeviceName": name, "Ebs": {}})
            known["Ebs"] = known["Ebs"] | {
                k: v for k, v in dict(mapping.get("Ebs") or {}).items() if v is not None
            }
            known |= {
                key: mapping[key] for key in ("NoDevice", "VirtualName") if mapping.get(key) is not None
            }
    for mapping in devices.values():
        mapping["Ebs"] = _typed(mapping["Ebs"])
        left_out = mapping.get("NoDevice") == "" or mapping.get("VirtualName")
        if not (left_out or mapping["Ebs"].get("SnapshotId") or mapping["Ebs"].get("VolumeSize")):
            raise EC2ClientError(
                "MissingParameter",
                f"The request must contain the parameter size or snapshotId (device {mapping['DeviceName']}, "
                "which the AMI does not have)",
            )
    return list(devices.values())


def _typed(ebs: dict[str, Any]) -> dict[str, Any]:
    """Turn texts of templates into what moto's volumes hold."""
    typed = dict(ebs)
    for key in ("Encrypted", "DeleteOnTermination"):
        if key in typed:
            typed[key] = str(typed[key]).lower() == "true"
    if "VolumeSize" in typed:
        typed["VolumeSize"] = int(typed["VolumeSize"])
    return typed
