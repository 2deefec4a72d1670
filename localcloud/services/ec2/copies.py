"""Copies of snapshots and images, and images of instances: with all their blocks.

Sources: EC2 API reference, CopySnapshot, CopyImage, CreateImage, CreateSnapshot; EBS user guide, "Copy an
Amazon EBS snapshot" (encryption); EC2 user guide, "Copy an Amazon EC2 AMI" (what a copy keeps).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.models import ec2_backends
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore

from localcloud.core.moto_types import Ec2Handler, Image, Instance, VolumeRecord
from localcloud.core.patching import Patches
from localcloud.services.ebs import records
from localcloud.services.ebs.errors import EbsError
from localcloud.services.ebs.service import EbsService
from localcloud.services.ebs.snapshot import CopyRequest
from localcloud.services.ec2.images import RegisteredImage, check_name
from localcloud.services.ec2.tags import check_tags

# What of an AMI its copies and the images of its instances keep: parameters of RegisterImage.
KEPT = {
    "Architecture": "architecture",
    "VirtualizationType": "virtualization_type",
    "RootDeviceName": "root_device_name",
    "EnaSupport": "ena_support",
    "SriovNetSupport": "sriov_net_support",
    "ImdsSupport": "imds_support",
    "TpmSupport": "tpm_support",
    "BootMode": "boot_mode",
    "UefiData": "uefi_data",
}


class Disks(Protocol):
    """Where the root volumes of instances are."""

    def root_disk(self, instance: Instance, *, reboot: bool) -> Path | None:
        """Return a raw copy of an instance's root volume, to be removed; None when it is as its snapshot.

        ``reboot``: a running machine may be shut down for it. Raises EC2ClientError when it may not.
        """


class Copies:
    """The operations. ``disks`` is None in a cloud without machines: volumes are then as their snapshots."""

    def __init__(self, service: EbsService, disks: Disks | None) -> None:
        self._service = service
        self._disks = disks

    def install(self, patches: Patches) -> None:
        """Put them in the place of moto's, which make records without blocks."""
        patches.add(
            ElasticBlockStore,
            copy_snapshot=lambda handler: self.copy_snapshot(handler),
            create_snapshot=lambda handler: self.create_snapshot(handler),
            create_snapshots=_no_snapshots,
        )
        patches.add(
            AmisResponse,
            copy_image=_once(lambda handler: self.copy_image(handler)),
            create_image=lambda handler: self.create_image(handler),
        )

    # -- snapshots

    def copy_snapshot(self, handler: Ec2Handler) -> ActionResult:
        """CopySnapshot."""
        tags = _tags(handler, "snapshot")
        request = CopyRequest(
            source=str(handler._get_param("SourceSnapshotId")),
            description=str(handler._get_param("Description") or ""),
            tags=tags,
            encrypted=handler._get_bool_param("Encrypted"),
            kms_key=handler._get_param("KmsKeyId"),
        )
        self._check(handler, request)
        handler.error_on_dryrun()
        snapshot_id = self._copied(handler, request)
        return ActionResult({"SnapshotId": snapshot_id, "Tags": _listed(tags)})

    def _check(self, handler: Ec2Handler, request: CopyRequest) -> None:
        source = ec2_backends[handler.current_account][_source_region(handler)].snapshots.get(request.source)
        if source is None:
            raise EC2ClientError(
                "InvalidSnapshot.NotFound", f"The snapshot '{request.source}' does not exist."
            )
        if source.status != "completed":
            raise EC2ClientError(
                "IncorrectState", f"Snapshot {request.source} is in invalid state - {source.status}"
            )
        _check_encryption(request, source_encrypted=bool(source.encrypted))

    def _copied(self, handler: Ec2Handler, request: CopyRequest) -> str:
        try:
            return self._service.copy(
                handler.current_account, _source_region(handler), handler.region, request
            ).id
        except EbsError as error:
            raise EC2ClientError("InvalidSnapshot.NotFound", error.message) from error

    def create_snapshot(self, handler: Ec2Handler) -> ActionResult:
        """CreateSnapshot of a volume; that of a machine must be at rest."""
        backend, volume_id = handler.ec2_backend, handler._get_param("VolumeId")
        volume = backend.get_volume(volume_id)
        tags = _tags(handler, "snapshot")
        handler.error_on_dryrun()
        instance = volume.attachment.instance if volume.attachment else None
        if instance is not None:
            self._refuse_data(instance, volume.id)
        description = str(handler._get_param("Description") or "")
        snapshot_id = self._snapshot_of(handler, volume, instance, description, tags=tags, reboot=False)
        return ActionResult(backend.snapshots[snapshot_id])

    def _refuse_data(self, instance: Instance, volume_id: str) -> None:
        """Raise EC2ClientError for a data volume of a machine, whose content would not be in the snapshot."""
        if self._disks is not None and _root_volume(instance) != volume_id:
            raise EC2ClientError(
                "UnsupportedOperation",
                f"The local cloud takes snapshots of root volumes only; {volume_id} is a data volume of "
                f"{instance.id}.",
            )

    def _snapshot_of(
        self,
        handler: Ec2Handler,
        volume: VolumeRecord,
        instance: Instance | None,
        description: str,
        *,
        tags: tuple[tuple[str, str], ...],
        reboot: bool,
    ) -> str:
        request = CopyRequest(str(volume.snapshot_id or ""), description, tags, bool(volume.encrypted), None)
        root = instance is not None and _root_volume(instance) == volume.id
        disk = (
            self._disks.root_disk(instance, reboot=reboot)
            if root and instance is not None and self._disks is not None
            else None
        )
        account, region = handler.current_account, handler.region
        try:
            snapshot = self._service.taken(account, region, request, size=int(volume.size), disk=disk)
        finally:
            if disk is not None:
                disk.unlink(missing_ok=True)
        records.of_volume(snapshot, str(volume.id))
        return snapshot.id

    # -- images

    def copy_image(self, handler: Ec2Handler) -> ActionResult:
        """CopyImage: the blocks, the boot mode and all else but launch permissions, and tags unless asked
        for."""
        backend, region = handler.ec2_backend, _source_region(handler)
        source_id, name = str(handler._get_param("SourceImageId")), handler._get_param("Name")
        source = ec2_backends[handler.current_account][region].amis.get(source_id)
        if source is None:
            raise InvalidAMIIdError([source_id])
        if source.root_device_type != "ebs":
            raise EC2ClientError(
                "UnsupportedOperation",
                f"The local cloud copies AMIs backed by Amazon EBS; {source_id} is not.",
            )
        if source.state != "available":
            raise EC2ClientError(
                "InvalidAMIID.Unavailable",
                f"The image ID '{source_id}' is not available: it is {source.state}",
            )
        check_name(backend, name)
        image_tags, snapshot_tags = _tags(handler, "image"), _tags(handler, "snapshot")
        requests = [
            CopyRequest(
                source=str(mapping["Ebs"]["SnapshotId"]),
                description="",
                tags=snapshot_tags,
                encrypted=handler._get_bool_param("Encrypted"),
                kms_key=handler._get_param("KmsKeyId"),
            )
            for mapping in source.block_device_mappings
            if "SnapshotId" in mapping.get("Ebs", {})
        ]
        for request in requests:
            self._check(handler, request)
        handler.error_on_dryrun()
        image = RegisteredImage(backend, _kept(source) | _named(handler), [])
        for request in requests:
            request = request.described(
                f"Copied for DestinationAmi {image.id} from SourceAmi {source_id} for SourceSnapshot "
                f"{request.source}"
            )
            _take(image, source, request.source, self._copied(handler, request))
        image.mappings += [dict(m) for m in source.block_device_mappings if "Ebs" not in m]
        image.source_image_id, image.source_image_region = source_id, region
        backend.amis[image.id] = image
        kept = {}
        if handler._get_bool_param("CopyImageTags", False):
            kept = {t["key"]: t["value"] for t in source.get_tags() if not t["key"].startswith("aws:")}
        image.add_tags(kept | dict(image_tags))
        return ActionResult({"ImageId": image.id})

    def create_image(self, handler: Ec2Handler) -> ActionResult:
        """CreateImage: of an instance that is stopped, or that may be rebooted."""
        backend, name = handler.ec2_backend, handler._get_param("Name")
        instance = backend.get_instance(handler._get_param("InstanceId"))
        if instance.root_device_type != "ebs":
            raise EC2ClientError(
                "UnsupportedOperation",
                f"The instance '{instance.id}' does not have an 'ebs' root device type: it cannot be imaged.",
            )
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which an image can be created: it is "
                f"{instance.state}.",
            )
        check_name(backend, name)
        source = backend.amis.get(instance.image_id)
        if source is None:
            raise EC2ClientError(
                "InvalidAMIID.NotFound", f"The image id '[{instance.image_id}]' does not exist"
            )
        image_tags, snapshot_tags = _tags(handler, "image"), _tags(handler, "snapshot")
        overrides = {m["DeviceName"]: m for m in handler._get_param("BlockDeviceMappings") or []}
        for device, attached in list(instance.block_device_mapping.items()):
            if "NoDevice" not in overrides.get(device, {}):
                self._refuse_data(instance, attached.volume_id)
        handler.error_on_dryrun()
        image = RegisteredImage(backend, _kept(source) | _named(handler), [])
        for device, attached in list(instance.block_device_mapping.items()):
            override = overrides.get(device, {})
            if "NoDevice" in override:
                continue
            volume = backend.get_volume(attached.volume_id)
            description = f"Created by CreateImage({instance.id}) for {image.id}"
            reboot = not handler._get_bool_param("NoReboot", False)
            snapshot_id = self._snapshot_of(
                handler, volume, instance, description, tags=snapshot_tags, reboot=reboot
            )
            ebs = {
                "VolumeType": volume.volume_type or "gp2",
                "VolumeSize": int(volume.size),
                "DeleteOnTermination": bool(attached.delete_on_termination),
                "Encrypted": bool(volume.encrypted),
                **{k: v for k, v in dict(override.get("Ebs") or {}).items() if v is not None},
                "SnapshotId": snapshot_id,
            }
            image.mappings.append({"DeviceName": device, "Ebs": ebs})
        image.instance_id = instance.id
        backend.amis[image.id] = image
        image.add_tags(dict(image_tags))
        return ActionResult({"ImageId": image.id})


def _no_snapshots(handler: Ec2Handler) -> ActionResult:
    raise NotImplementedError("snapshots of several volumes at one moment")


def _once(operation: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
    """Make an operation idempotent by its ClientToken."""

    def guarded(handler: Ec2Handler) -> ActionResult:
        token = handler._get_param("ClientToken")
        known: dict[str, tuple[str, ActionResult]] = vars(handler.ec2_backend).setdefault(
            "ingot_copy_tokens", {}
        )
        request = repr({k: v for k, v in handler._get_params().items() if k != "ClientToken"})
        if token and token in known:
            if known[token][0] != request:
                raise EC2ClientError(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in previous "
                    "request(s).",
                )
            return known[token][1]
        answer = operation(handler)
        if token:
            known[token] = request, answer
        return answer

    return guarded


def _source_region(handler: Ec2Handler) -> str:
    region = handler._get_param("SourceRegion")
    if not region:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter SourceRegion")
    return str(region)


def _check_encryption(request: CopyRequest, *, source_encrypted: bool) -> None:
    if request.kms_key and not (request.encrypted or source_encrypted):
        raise EC2ClientError(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        )
    if request.encrypted is False and source_encrypted:
        raise EC2ClientError(
            "InvalidParameterValue",
            "A copy of an encrypted snapshot is encrypted: the parameter Encrypted cannot be set to false.",
        )


def _tags(handler: Ec2Handler, kind: str) -> tuple[tuple[str, str], ...]:
    given = [
        tag
        for specification in handler._get_param("TagSpecifications") or []
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags") or []
    ]
    check_tags(given)
    return tuple((tag["Key"], tag.get("Value", "")) for tag in given)


def _listed(tags: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def _named(handler: Ec2Handler) -> dict[str, Any]:
    return {"Name": handler._get_param("Name"), "Description": handler._get_param("Description") or ""}


def _kept(source: Image) -> dict[str, Any]:
    return {name: getattr(source, attribute, None) for name, attribute in KEPT.items()}


def _take(image: RegisteredImage, source: Image, snapshot_id: str, copy_id: str) -> None:
    """Give an image the device of its source that stands on a snapshot, on the copy."""
    for mapping in source.block_device_mappings:
        ebs: Mapping[str, Any] = mapping.get("Ebs", {})
        if ebs.get("SnapshotId") == snapshot_id:
            copied = image.ec2_backend.snapshots[copy_id]
            image.mappings.append(
                {**mapping, "Ebs": {**ebs, "SnapshotId": copy_id, "Encrypted": bool(copied.encrypted)}}
            )
            return


def _root_volume(instance: Instance) -> str:
    known = instance.block_device_mapping.get(instance.root_device_name)
    return "" if known is None else known.volume_id
