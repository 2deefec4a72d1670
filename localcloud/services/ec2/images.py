"""RegisterImage and its companions with AWS's checks: moto invents a snapshot of 15 GiB for every AMI.

Source: EC2 API reference, RegisterImage, DeregisterImage, DeleteSnapshot ("You cannot delete a snapshot of
the root device of an EBS volume used by a registered AMI").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidSnapshotInUse
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.utils import random_ami_id

from localcloud.core.moto_types import Ec2Backend, Ec2Handler
from localcloud.core.patching import Patches
from localcloud.services.ebs.service import EbsService
from localcloud.services.ec2.tags import check_tags

NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")  # RegisterImage, "Name"
# An AMI is pending at first: a client that does not wait must fail here too.
REGISTERING = timedelta(seconds=0.5)


class RegisteredImage(Ami):  # type: ignore[misc]  # moto is untyped
    """An AMI that stands on snapshots.

    The names of the attributes are those that moto's serializer looks for.
    """

    def __init__(
        self, backend: Ec2Backend, parameters: Mapping[str, Any], mappings: list[dict[str, Any]]
    ) -> None:
        # Not Ami's constructor: it makes up a snapshot and a volume.
        get = parameters.get
        self.ec2_backend = backend
        self.id = random_ami_id()
        self.name = get("Name")
        self.description = get("Description", "")
        self.owner_id = backend.account_id
        self.owner_alias = None
        self.image_type = "machine"
        self.image_location = f"{backend.account_id}/{self.name}"
        self.virtualization_type = get("VirtualizationType", "paravirtual")
        self.architecture = get("Architecture", "i386")
        self.kernel_id = get("KernelId")
        self.platform = None
        self.platform_details = "Linux/UNIX"
        self.usage_operation = "RunInstances"
        self.hypervisor = "xen"
        self.root_device_name = get("RootDeviceName")
        self.root_device_type = "ebs"
        self.sriov = get("SriovNetSupport")
        self.sriov_net_support = get("SriovNetSupport")
        self.ena_support = get("EnaSupport") in (True, "true")
        self.imds_support = get("ImdsSupport")
        self.tpm_support = get("TpmSupport")
        self.boot_mode = get("BootMode")
        self.uefi_data = get("UefiData")
        self.creation_date = datetime.now(UTC)
        self.product_codes: set[str] = set()
        self.instance_id: str | None = None
        self.source_image_id: str | None = None
        self.source_image_region: str | None = None
        self.launch_permissions: list[dict[str, str]] = []
        self.mappings = mappings
        self.disabled = False
        self.deprecation_time: str | None = None
        self.deregistration_protection = "disabled"

    @property
    def state(self) -> str:
        """Return ``pending``, ``available`` or ``disabled``."""
        if self.disabled:
            return "disabled"
        snapshots = [self.ec2_backend.snapshots.get(snapshot_id) for snapshot_id in self.snapshot_ids]
        copied = all(snapshot is None or snapshot.status == "completed" for snapshot in snapshots)
        return "available" if copied and datetime.now(UTC) >= self.creation_date + REGISTERING else "pending"

    @state.setter
    def state(self, value: str) -> None:
        """Take what moto's DisableImage and EnableImage set."""
        self.disabled = value == "disabled"

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """Return the mappings as they were registered, with AWS's defaults filled in."""
        return self.mappings

    @property
    def snapshot_ids(self) -> list[str]:
        """Return the snapshots that this AMI stands on."""
        return [m["Ebs"]["SnapshotId"] for m in self.mappings if "SnapshotId" in m.get("Ebs", {})]

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> object:
        """Answer the filters that moto's AMIs lack."""
        if filter_name == "block-device-mapping.snapshot-id":
            return self.snapshot_ids
        if filter_name in (
            "architecture",
            "boot-mode",
            "root-device-type",
            "root-device-name",
            "description",
        ):
            return getattr(self, filter_name.replace("-", "_"))
        if filter_name.startswith("tag"):
            return TaggedEC2Resource.get_filter_value(self, filter_name, method_name)
        return super().get_filter_value(filter_name, method_name)


def register(backend: Ec2Backend, parameters: Mapping[str, Any]) -> RegisteredImage:
    """Check RegisterImage's parameters as AWS does and add the AMI; raises EC2ClientError."""
    check_name(backend, parameters.get("Name"))
    specifications = parameters.get("TagSpecifications") or []
    check_tags(tag for specification in specifications for tag in specification.get("Tags") or [])
    mappings = [_mapping(backend, given) for given in parameters.get("BlockDeviceMappings") or []]
    _check_root(parameters, mappings)
    check_boot(parameters)
    image = RegisteredImage(backend, parameters, mappings)
    backend.amis[image.id] = image
    for specification in specifications:
        if specification.get("ResourceType") == "image":
            image.add_tags({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags") or []})
    return image


def check_name(backend: Ec2Backend, name: str | None) -> None:
    """Raise EC2ClientError unless an AMI of the account may have that name."""
    if not name:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter name")
    if not NAME.fullmatch(name):
        raise EC2ClientError(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, spaces, "
            "apostrophes, and "
            "( ) [ ] . - / @ _",
        )
    for image in backend.amis.values():
        if image.name == name and image.owner_id == backend.account_id:
            raise EC2ClientError(
                "InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}"
            )


def _mapping(backend: Ec2Backend, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return one mapping with defaults; its snapshot must be there, completed and fit into the volume."""
    if "Ebs" not in given:
        return dict(given)
    ebs = dict(given["Ebs"])
    ebs.setdefault("VolumeType", "gp2")
    ebs.setdefault("DeleteOnTermination", True)
    snapshot_id = ebs.get("SnapshotId")
    if snapshot_id is not None:
        snapshot = backend.snapshots.get(snapshot_id)
        if snapshot is None:
            raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        if snapshot.status != "completed":
            raise EC2ClientError(
                "IncorrectState", f"Snapshot {snapshot_id} is in invalid state - {snapshot.status}"
            )
        size = int(ebs.setdefault("VolumeSize", snapshot.volume.size))
        if size < snapshot.volume.size:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{snapshot_id}', "
                f"expect size >= {snapshot.volume.size}GB",
            )
        ebs["Encrypted"] = snapshot.encrypted
    return {**given, "Ebs": ebs}


def _check_root(parameters: Mapping[str, Any], mappings: list[dict[str, Any]]) -> None:
    root = parameters.get("RootDeviceName")
    if not mappings:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter BlockDeviceMappings")
    if not root:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter RootDeviceName")
    found = [m for m in mappings if m.get("DeviceName") == root]
    if not found or "SnapshotId" not in found[0].get("Ebs", {}):
        raise EC2ClientError(
            "InvalidBlockDeviceMapping", f"The device '{root}' has no snapshot in the block device mapping."
        )


def check_boot(parameters: Mapping[str, Any]) -> None:
    """Raise EC2ClientError for what EC2 does not know of architectures and boot modes."""
    allowed = {
        "Architecture": ("i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"),
        "BootMode": ("legacy-bios", "uefi", "uefi-preferred"),
        "ImdsSupport": ("v2.0",),
        "TpmSupport": ("v2.0",),
        "VirtualizationType": ("hvm", "paravirtual"),
    }
    for name, values in allowed.items():
        value = parameters.get(name)
        if value is not None and value not in values:
            raise EC2ClientError("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid.")
    if parameters.get("TpmSupport") and parameters.get("BootMode") != "uefi":
        raise EC2ClientError("InvalidParameterCombination", "TpmSupport requires BootMode to be uefi.")


def install(patches: Patches, service: EbsService) -> None:
    """Put our RegisterImage, DeregisterImage and DeleteSnapshot in the place of moto's."""

    def register_image(self: Ec2Handler) -> ActionResult:
        self.error_on_dryrun()
        return ActionResult({"ImageId": register(self.ec2_backend, self._get_params()).id})

    def deregister_image(self: Ec2Handler) -> ActionResult:
        self.error_on_dryrun()
        image_id = self._get_param("ImageId")
        image = self.ec2_backend.amis.get(image_id)
        self.ec2_backend.deregister_image(image_id)
        result: dict[str, Any] = {"Return": True}
        if self._get_bool_param("DeleteAssociatedSnapshots", False) and isinstance(image, RegisteredImage):
            result["DeleteSnapshotResults"] = [_delete_after(self.ec2_backend, s) for s in image.snapshot_ids]
        return ActionResult(result)

    def freeing(original: Callable[[Ec2Backend, str], object]) -> Callable[[Ec2Backend, str], object]:
        def delete_snapshot(self: Ec2Backend, snapshot_id: str) -> object:
            _check_unused(self, snapshot_id)
            deleted = original(self, snapshot_id)
            service.delete(snapshot_id)
            return deleted

        return delete_snapshot

    patches.add(AmisResponse, register_image=register_image, deregister_image=deregister_image)
    patches.replace(EC2Backend, "delete_snapshot", freeing)


def _check_unused(backend: Ec2Backend, snapshot_id: str) -> None:
    for image in backend.amis.values():
        if isinstance(image, RegisteredImage) and snapshot_id in image.snapshot_ids:
            raise InvalidSnapshotInUse(snapshot_id, image.id)


def _delete_after(backend: Ec2Backend, snapshot_id: str) -> dict[str, str]:
    """Delete a deregistered AMI's snapshot unless another AMI uses it; say what became of it."""
    try:
        backend.delete_snapshot(snapshot_id)
    except InvalidSnapshotInUse:
        return {"SnapshotId": snapshot_id, "ReturnCode": "skipped"}
    except EC2ClientError:
        return {"SnapshotId": snapshot_id, "ReturnCode": "warn"}
    return {"SnapshotId": snapshot_id, "ReturnCode": "success"}
