"""What EC2 refuses of block device mappings, and the data volumes that a launch makes of them.

moto makes a volume of each mapping, whatever it says, and forgets its performance. Source: EC2 API reference,
EbsBlockDevice and "Error codes"; EBS user guide, "General Purpose SSD volumes"; messages as EC2 words them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from ingot.machines.qemu import DataDisk
from ingot.quantities import GIB
from localcloud.core.moto_types import Device, Instance

# "Device names for volumes", EC2 user guide: what Linux instances of hvm AMIs take.
_DEVICE = re.compile(r"(/dev/)?(sd[a-z]{1,2}[0-9]{0,2}|xvd[a-z]{1,2}[0-9]{0,2})")
GP3_SIZE, GP3_IOPS, GP3_THROUGHPUT = range(1, 65537), range(3000, 80001), range(125, 2001)
IOPS_PER_GIB, THROUGHPUT_PER_IOPS = 500, 0.25
WITH_IOPS = frozenset({"gp3", "io1", "io2"})


def check(mappings: Sequence[Device]) -> None:
    """Raise EC2ClientError for the mappings of one request, or one version of a template."""
    seen: set[str] = set()
    for mapping in mappings:
        name = str(mapping["DeviceName"])
        if _DEVICE.fullmatch(name) is None:
            raise _invalid(
                f"Value ({name}) for parameter device is invalid. {name} is not a valid EBS device name."
            )
        if name in seen:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"The device '{name}' is used in more than one block-device mapping",
            )
        seen.add(name)


def check_volume(ebs: Mapping[str, Any]) -> None:
    """Raise EC2ClientError for a volume that EBS does not make."""
    kind = str(ebs.get("VolumeType") or "gp2")
    if ebs.get("KmsKeyId") and not ebs.get("Encrypted"):
        raise EC2ClientError(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        )
    for key, kinds in (("Iops", WITH_IOPS), ("Throughput", {"gp3"})):
        if ebs.get(key) is not None and kind not in kinds:
            raise EC2ClientError(
                "InvalidParameterCombination",
                f"The parameter {key.lower()} is not supported for {kind} volumes.",
            )
    if kind == "gp3":
        _check_gp3(ebs)


def _check_gp3(ebs: Mapping[str, Any]) -> None:
    size, iops, throughput = (
        None if ebs.get(key) is None else int(ebs[key]) for key in ("VolumeSize", "Iops", "Throughput")
    )
    if size is not None and size not in GP3_SIZE:
        low = size < GP3_SIZE.start
        bound = (
            f"too small; minimum is {GP3_SIZE.start}" if low else f"too large; maximum is {GP3_SIZE.stop - 1}"
        )
        raise _invalid(f"Volume of {size}GiB is {bound}GiB.")
    for what, value, bounds in (
        ("iops", iops, GP3_IOPS),
        ("throughput (MiBps)", throughput, GP3_THROUGHPUT),
    ):
        if value is not None and value not in bounds:
            low = value < bounds.start
            bound = (
                f"too low; minimum is {bounds.start}" if low else f"too high; maximum is {bounds.stop - 1}"
            )
            raise _invalid(f"Volume {what} of {value} is {bound}.")
    if iops is not None and iops > GP3_IOPS.start and size is not None and iops > IOPS_PER_GIB * size:
        raise _ratio("Iops to volume size", iops / size, IOPS_PER_GIB)
    if throughput is not None and throughput > THROUGHPUT_PER_IOPS * (iops or GP3_IOPS.start):
        raise _ratio("Throughput (MiBps) to iops", throughput / (iops or GP3_IOPS.start), THROUGHPUT_PER_IOPS)


def _invalid(message: str) -> EC2ClientError:
    return EC2ClientError("InvalidParameterValue", message)


def _ratio(what: str, found: float, most: float) -> EC2ClientError:
    return EC2ClientError(
        "InvalidParameterCombination", f"{what} ratio of {found:f} is too high; maximum is {most:f}."
    )


def note_performance(instance: Instance, devices: Sequence[Device]) -> None:
    """Let DescribeVolumes say what the launch asked for."""
    for mapping in devices:
        attachment = instance.block_device_mapping.get(mapping["DeviceName"])
        if attachment is None:
            continue
        volume, ebs = instance.ec2_backend.volumes[attachment.volume_id], mapping["Ebs"]
        if volume.volume_type == "gp3":
            volume.iops = int(ebs.get("Iops") or GP3_IOPS.start)
            volume.throughput = int(ebs.get("Throughput") or GP3_THROUGHPUT.start)
        elif ebs.get("Iops") is not None:
            volume.iops = int(ebs["Iops"])


def instance_stores(instance: Instance, sizes: Sequence[int]) -> tuple[DataDisk, ...]:
    """Return the disks of an instance's store: every launch has them, whatever its mappings say.

    Source: "Instance store volumes", EC2 user guide: NVMe instance store volumes need no mapping, and lose
    what is on them when the instance stops.
    """
    return tuple(
        DataDisk("instance-store", f"AWS-{instance.id[-12:]}-{number}", size, ephemeral=True)
        for number, size in enumerate(sizes)
    )


def data_disks(
    instance: Instance, devices: Sequence[Device], base: Callable[[str], Path]
) -> tuple[DataDisk, ...]:
    """Return the disks beside the root that a launch attaches; ``base`` is what is on a snapshot."""
    found = []
    for mapping in devices:
        name = mapping["DeviceName"]
        attachment = instance.block_device_mapping.get(name)
        if attachment is None or name == instance.root_device_name:
            continue
        snapshot = mapping["Ebs"].get("SnapshotId")
        found.append(
            DataDisk(
                name.removeprefix("/dev/").replace("xvd", "sd", 1),
                attachment.volume_id,
                int(attachment.size) * GIB,
                base(snapshot) if snapshot else None,
            )
        )
    return tuple(found)
