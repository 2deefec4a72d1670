"""What a launch is made of.

The request, the launch template and the AMI put together once, and what AWS refuses.

moto takes only some of a launch template's keys, and launches anything on anything. Source: EC2 API
reference, RunInstances and "Error codes"; messages as EC2 words them.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance as MotoInstance
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import parse_user_data
from moto.iam.models import iam_backends

from localcloud.core.moto_types import (
    Device,
    Ec2Backend,
    Ec2Handler,
    Image,
    Instance,
    Moto,
    Reservation,
    Subnet,
)
from localcloud.core.patching import Patches
from localcloud.services.ec2 import block_devices
from localcloud.services.ec2.instance_types import InstanceType, instance_type

INSTANCE_STORE = "instance-store"
# Of a request with DryRun: raises what says that the launch would succeed.
_DRY_RUN: ContextVar[Callable[[], None] | None] = ContextVar("dry_run", default=None)


@dataclass(frozen=True)
class ResolvedLaunch:
    """A launch with everything filled in. ``arguments`` are those of moto's ``run_instances``."""

    image: Image
    type: InstanceType
    subnet: Subnet
    devices: list[Device]
    profile: Mapping[
        str, str
    ]  # the launch template's instance profile: Name or Arn; the request's is in arguments
    arguments: dict[str, Any]

    @property
    def root_snapshot(self) -> str:
        """The snapshot that the root volume is made of; empty when there is none."""
        root = next((d for d in self.devices if d["DeviceName"] == self.image.root_device_name), None)
        return str((root or {}).get("Ebs", {}).get("SnapshotId") or "")

    @property
    def boots_uefi(self) -> bool:
        """Whether the instance boots by UEFI: the AMI wants it, and the type can."""
        return self.image.boot_mode in ("uefi", "uefi-preferred") and "uefi" in self.type.boot_modes


class Hypervisor(Protocol):
    """What runs the instances that moto writes down."""

    def check(self, launch: ResolvedLaunch) -> None:
        """Raise EC2ClientError for a launch that AWS would take and this machine cannot run."""

    def boot(self, instance: Instance, launch: ResolvedLaunch) -> None:
        """Boot a new instance; returns at once."""


def install(patches: Patches, hypervisor: Hypervisor | None) -> None:
    """Resolve and check RunInstances, and the launches of Auto Scaling.

    Without a hypervisor nothing boots.
    """

    def resolving(original: Callable[..., Reservation]) -> Callable[..., Reservation]:
        def run_instances(
            backend: Ec2Backend, image_id: str | None, *rest: object, **arguments: Moto
        ) -> Reservation:
            launch = resolve(backend, image_id, arguments)
            if hypervisor is not None:
                hypervisor.check(launch)
            dry_run = _DRY_RUN.get()
            if dry_run is not None:
                dry_run()
            reservation = original(backend, launch.image.id, *rest, **launch.arguments)
            for instance in reservation.instances:
                _own_interfaces(instance, launch.arguments.get("nics") or [])
                _attach_profile(backend, instance, launch)
                block_devices.note_performance(instance, launch.devices)
                instance.root_device_type = launch.image.root_device_type
                if hypervisor is not None:
                    hypervisor.boot(instance, launch)
            return reservation

        return run_instances

    def terminating(original: Callable[[Instance], object]) -> Callable[[Instance], object]:
        def terminate(instance: Instance) -> object:
            """TerminateInstances succeeds again for what is terminated, whose interfaces are gone."""
            return copy.copy(instance._state) if instance.state == "terminated" else original(instance)

        return terminate

    patches.replace(InstanceBackend, "run_instances", resolving)
    patches.replace(MotoInstance, "terminate", terminating)
    patches.replace(InstanceResponse, "run_instances", _protecting)
    patches.replace(InstanceResponse, "run_instances", _dry_running)
    patches.replace(InstanceResponse, "modify_instance_attribute", _at_rest)
    # moto asks each mapping of a request for a size or a snapshot, and fills in what is left to the AMI.
    patches.add(
        InstanceResponse,
        _parse_block_device_mapping=lambda handler: copy.deepcopy(
            handler._get_param("BlockDeviceMappings", [])
        ),
    )


def _protecting(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
    def run_instances(handler: Ec2Handler) -> ActionResult:
        """RunInstances with DisableApiTermination, which moto leaves out."""
        answer = original(handler)
        if handler._get_bool_param("DisableApiTermination", False):
            for instance in answer.result.instances:
                instance.disable_api_termination = True
        return answer

    return run_instances


def _at_rest(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
    def modify_instance_attribute(handler: Ec2Handler) -> ActionResult:
        """ModifyInstanceAttribute: the type and user data change while the instance is stopped.

        moto takes user data for Base64 a second time.
        """
        given = handler._get_params()
        instance = handler.ec2_backend.get_instance(handler._get_param("InstanceId"))
        if (given.get("InstanceType") or given.get("UserData")) and instance.state != "stopped":
            raise EC2ClientError(
                "IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state."
            )
        data = (given.get("UserData") or {}).get("Value")
        if data is None:
            return original(handler)
        instance.user_data = parse_user_data(base64.b64encode(data).decode())
        return EmptyResult()

    return modify_instance_attribute


def _dry_running(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
    def run_instances(handler: Ec2Handler) -> ActionResult:
        """RunInstances with DryRun: all is checked first ("DryRunOperation" says that it would succeed)."""
        if not handler._get_bool_param("DryRun", False):
            return original(handler)
        token = _DRY_RUN.set(handler.error_on_dryrun)
        handler.error_on_dryrun = lambda: None
        try:
            return original(handler)
        finally:
            _DRY_RUN.reset(token)

    return run_instances


def _own_interfaces(instance: Instance, asked: Sequence[Mapping[str, Any]]) -> None:
    """Let the interfaces that a launch made go with their instance, unless the request says otherwise."""
    said = {int(nic.get("DeviceIndex") or 0): nic for nic in asked}
    for index, interface in instance.nics.items():
        nic = said.get(int(index), {})
        if "NetworkInterfaceId" not in nic:
            keeps = str(nic.get("DeleteOnTermination", True)).lower() == "false"
            interface.delete_on_termination = not keeps


def resolve(backend: Ec2Backend, image_id: str | None, arguments: Mapping[str, Any]) -> ResolvedLaunch:
    """Put a launch together. Raises EC2ClientError for what AWS would refuse.

    ``arguments``: those that moto's ``run_instances`` gets from the request; the template fills in what they
    leave open.
    """
    given = dict(arguments)
    data = template_data(backend, given)
    image = find_image(backend, image_id or data.get("ImageId"))
    if given.get("is_instance_type_default", True) and data.get("InstanceType"):
        given |= {"instance_type": data["InstanceType"], "is_instance_type_default": False}
    kind = fitting_type(image, given.get("instance_type", "m1.small"))
    given["metadata_options"] = metadata_options(image, data, given.get("metadata_options"))
    devices = mappings(image, data, given.get("block_device_mappings"))
    if image.root_device_type == INSTANCE_STORE:
        devices = _without_volumes(devices)
    given["block_device_mappings"] = devices
    if not given.get("nics") and not given.get("subnet_id") and data.get("NetworkInterfaces"):
        given["nics"] = data["NetworkInterfaces"]
    if str(data.get("DisableApiTermination")).lower() == "true":
        given["disable_api_termination"] = True
    given["instance_initiated_shutdown_behavior"] = given.get(
        "instance_initiated_shutdown_behavior"
    ) or data.get("InstanceInitiatedShutdownBehavior")
    if image.root_device_type == INSTANCE_STORE:
        _refuse_shutdown(given)
    if str((data.get("Monitoring") or {}).get("Enabled")).lower() == "true":
        given["monitoring_state"] = "enabled"
    _refuse_small(backend, devices)
    _refuse_unknown(backend, data, given.get("key_name") or data.get("KeyName"))
    subnet = _place(backend, given)
    _refuse_two_networks(backend, data, given)
    return ResolvedLaunch(image, kind, subnet, devices, data.get("IamInstanceProfile") or {}, given)


def _without_volumes(devices: Sequence[Device]) -> list[Device]:
    """Return no device; raise EC2ClientError where a volume would be beside a root on an instance store."""
    if any(mapping.get("NoDevice") != "" and not mapping.get("VirtualName") for mapping in devices):
        raise EC2ClientError(
            "InvalidBlockDeviceMapping", "EBS block device mappings not supported for instance-store AMIs."
        )
    return []


def _refuse_shutdown(given: dict[str, Any]) -> None:
    """Let a shutdown end the instance, which has no other end; raise EC2ClientError where the launch says."""
    if given["instance_initiated_shutdown_behavior"]:
        raise EC2ClientError(
            "InvalidParameterCombination",
            "The attribute instanceInitiatedShutdownBehavior can only be used for elastic images.",
        )
    given["instance_initiated_shutdown_behavior"] = "terminate"


def _attach_profile(backend: Ec2Backend, instance: Instance, launch: ResolvedLaunch) -> None:
    """Give an instance the launch template's profile; moto gives it that of the request."""
    asked = launch.arguments.get("iam_instance_profile_name") or launch.arguments.get(
        "iam_instance_profile_arn"
    )
    if launch.profile and not asked:
        backend.associate_iam_instance_profile(
            instance.id, launch.profile.get("Name"), launch.profile.get("Arn")
        )


def _refuse_small(backend: Ec2Backend, devices: list[dict[str, Any]]) -> None:
    """Raise EC2ClientError for a volume that is smaller than its snapshot."""
    for mapping in devices:
        snapshot = backend.snapshots.get(mapping["Ebs"].get("SnapshotId"))
        size = mapping["Ebs"].get("VolumeSize")
        if snapshot is not None and size is not None and size < int(snapshot.volume.size):
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size >= "
                f"{snapshot.volume.size}GB",
            )


def _refuse_unknown(backend: Ec2Backend, data: dict[str, Any], key: str | None) -> None:
    """Raise EC2ClientError for a key pair, or a launch template's instance profile, that is not there."""
    if key and key not in backend.key_pairs:
        raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    profile = data.get("IamInstanceProfile") or {}
    for field, what in (("Arn", "ARN"), ("Name", "name")):
        if profile.get(field) and not _profile_exists(backend, field, profile[field]):
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({profile[field]}) for parameter iamInstanceProfile.{field.lower()} is invalid. "
                "Invalid IAM Instance "
                f"Profile {what}",
            )


def _profile_exists(backend: Ec2Backend, field: str, value: str) -> bool:
    profiles = iam_backends[backend.account_id][backend.partition].instance_profiles.values()
    return any(value == (known.arn if field == "Arn" else known.name) for known in profiles)


def template_data(backend: Ec2Backend, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of the launch template's version that the launch names; nothing when it names none.

    A copy, through and through: what a launch fills in is not the template's.
    """
    named = kwargs.get("launch_template")
    data: dict[str, Any] = copy.deepcopy(backend._get_template_from_args(named).data) if named else {}
    return data


def find_image(backend: Ec2Backend, image_id: str | None) -> Image:
    """Return the AMI.

    Raises what AWS says to one that is missing, unknown, deregistered, pending or disabled.
    """
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    image: Image | None = backend.amis.get(image_id)
    if image is None and image_id not in backend.deleted_amis:
        raise InvalidAMIIdError([image_id])
    if image is None or image.state != "available":
        state = "deregistered" if image is None else image.state
        raise EC2ClientError(
            "InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available: it is {state}"
        )
    return image


def fitting_type(image: Image, type_name: str) -> InstanceType:
    """Return the instance type.

    Raises EC2ClientError for an unknown one, and where the AMI does not fit it.
    """
    kind = instance_type(type_name)
    if kind is None:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{type_name}' for InstanceType.")
    if image.architecture not in kind.architectures:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The architecture '{','.join(kind.architectures)}' of the specified instance type does not "
            "match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching "
            "architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to "
            "discover the "
            "architecture of the instance type or AMI.",
        )
    if image.root_device_type == INSTANCE_STORE and INSTANCE_STORE not in kind.root_devices:
        raise EC2ClientError(
            "UnsupportedOperation",
            f"AMI '{image.id}' with an instance-store root device is not supported for the instance type "
            f"'{type_name}'.",
        )
    if image.virtualization_type != "hvm":
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Non-Windows instances with a virtualization type of '{image.virtualization_type}' are "
            "currently not supported for "
            "this instance type.",
        )
    if image.boot_mode in ("uefi", "legacy-bios") and image.boot_mode not in kind.boot_modes:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The instance type '{type_name}' does not support the boot mode '{image.boot_mode}' of the AMI "
            f"'{image.id}'; it "
            f"supports {', '.join(kind.boot_modes)}.",
        )
    ena = INSTANCE_TYPES[type_name].get("NetworkInfo", {}).get("EnaSupport")
    if ena == "required" and not getattr(image, "ena_support", True):
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Enhanced networking with the Elastic Network Adapter (ENA) is required for the '{type_name}' "
            "instance type. "
            "Ensure that you are using an AMI that is enabled for ENA.",
        )
    return kind


def _place(backend: Ec2Backend, kwargs: dict[str, Any]) -> Subnet:
    """Return the subnet; a default one, put into the arguments, where the launch names none.

    moto would fall back to EC2-Classic.
    """
    nics: list[dict[str, Any]] = kwargs.get("nics") or []
    subnet_id = kwargs.get("subnet_id") or next((nic["SubnetId"] for nic in nics if "SubnetId" in nic), None)
    if not subnet_id:
        defaults = backend.get_default_subnets()
        zone = kwargs.get("placement") or next(iter(sorted(defaults)), "")
        if zone not in defaults:
            raise EC2ClientError("VPCIdNotSpecified", "No default VPC for this user")
        subnet_id = defaults[zone].id
        if nics:
            nics[0]["SubnetId"] = subnet_id
        else:
            kwargs["subnet_id"] = subnet_id
    subnet: Subnet = backend.get_subnet(subnet_id)
    return subnet


def _refuse_two_networks(backend: Ec2Backend, data: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise EC2ClientError when a security group of the launch is of another VPC than its subnet."""
    alone = {"Groups": given.get("security_group_ids") or data.get("SecurityGroupIds")}
    for nic in given.get("nics") or data.get("NetworkInterfaces") or [alone]:
        subnet_id = nic.get("SubnetId") or given.get("subnet_id")
        subnet = backend.get_subnet(subnet_id) if subnet_id else None
        for named in nic.get("Groups") or []:
            group = backend.get_security_group_from_id(named) if isinstance(named, str) else named
            if subnet is not None and group is not None and group.vpc_id != subnet.vpc_id:
                raise EC2ClientError(
                    "InvalidParameter",
                    f"Security group {group.id} and subnet {subnet.id} belong to different networks.",
                )


def metadata_options(image: Image, data: dict[str, Any], asked: dict[str, Any] | None) -> dict[str, Any]:
    """Return the metadata options.

    The request's, then the template's, then what the AMI's ImdsSupport implies.

    An AMI with ImdsSupport v2.0 makes HttpTokens required and the hop limit 2 unless the launch says
    otherwise.
    """
    implied = (
        {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        if getattr(image, "imds_support", None) == "v2.0"
        else {}
    )
    return implied | dict(data.get("MetadataOptions") or {}) | dict(asked or {})


def mappings(image: Image, data: dict[str, Any], asked: list[Device] | None) -> list[Device]:
    """Return the block device mappings.

    Each device of the AMI, overlaid by the template's and the request's keys.

    A device that the AMI does not have is an additional volume: raises EC2ClientError when nothing says what
    is on it or how large it is.
    """
    devices: dict[str, Device] = {}
    for given in (data.get("BlockDeviceMappings") or [], asked or []):
        block_devices.check(given)
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
        block_devices.check_volume(mapping["Ebs"])
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
    for key in ("VolumeSize", "Iops", "Throughput"):
        if key in typed:
            typed[key] = int(typed[key])
    return typed
