"""The data volumes of clones: which the recipe declares, and how large and fast a fleet has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Aws, Size, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from ingot.constructs.fleet.options import Refresh, WarmPool
from ingot.constructs.image.golden_image import GoldenImage
from ingot.constructs.machines import root_volume
from ingot.errors import InputError
from ingot.quantities import GIB
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.storage import devices_of

# "General Purpose SSD volumes", EBS user guide: gp3.
SIZES, IOPS, THROUGHPUT = range(1, 65537), range(3000, 80001), range(125, 2001)
IOPS_PER_GIB, IOPS_PER_THROUGHPUT = 500, 4


@dataclass(frozen=True)
class Volume:
    """A data volume that the recipe declares: gp3, encrypted, one for each clone, blank at first."""

    size: Size | None = None
    """At least the recipe's, in whole GiB. Default: the recipe's."""
    iops: int | None = None
    """3000 to 80000, and at most 500 for each GiB. Default: 3000."""
    throughput: int | None = None
    """MiB/s, 125 to 2000, and at most a quarter of ``iops``. Default: 125."""
    key: kms.IKey | None = None
    """What it is encrypted with. Default: the account's key for EBS."""
    keep: bool = False
    """Whether it stays when its clone ends. EC2 bills what stays until somebody deletes it."""

    def problem(self, name: str, smallest: int) -> str | None:
        """Return what EBS or the recipe would not take; ``smallest`` is the recipe's size in GiB."""
        size = smallest if self.size is None else int(self.size.to_gibibytes())
        iops = IOPS.start if self.iops is None else self.iops
        if size < smallest or size not in SIZES:
            return (
                f"volume {name}: size must be from {smallest} GiB, which the recipe says, to "
                f"{SIZES.stop - 1} GiB, not {size}"
            )
        if iops not in IOPS or iops > max(IOPS_PER_GIB * size, IOPS.start):
            most = min(max(IOPS_PER_GIB * size, IOPS.start), IOPS.stop - 1)
            return f"volume {name}: iops must be from {IOPS.start} to {most} with {size} GiB, not {iops}"
        if self.throughput is not None and (
            self.throughput not in THROUGHPUT or self.throughput * IOPS_PER_THROUGHPUT > iops
        ):
            most = min(iops // IOPS_PER_THROUGHPUT, THROUGHPUT.stop - 1)
            return (
                f"volume {name}: throughput must be from {THROUGHPUT.start} to {most} MiB/s with {iops} "
                f"iops, not {self.throughput}"
            )
        return None


def root_volumes(image: GoldenImage, *, initialization_rate: int | None) -> tuple[ec2.BlockDevice, ...]:
    """Return the clones' root volume; none where the root is on an instance store.

    ``initialization_rate``: MiB/s, 100 to 300.
    """
    if image.on_instance_store:
        return ()
    size, device = image.recipe.root_volume.size, image.root_device
    return (root_volume(size=size, initialization_rate=initialization_rate, device=device),)


def problem_of_store_root(
    image: GoldenImage,
    initialization_rate: int | None,
    refresh: Refresh | None = None,
    warm_pool: WarmPool | None = None,
) -> str | None:
    """Return which option takes a root volume, where the image's root is on an instance store."""
    if not image.on_instance_store:
        return None
    options = {
        "the strategy REPLACE_ROOT_VOLUME, which puts another volume in its place": refresh is not None
        and refresh.strategy == "REPLACE_ROOT_VOLUME",
        "volume_initialization_rate, which is of EBS volumes": initialization_rate is not None,
        "a warm pool of stopped clones: none of its instances can be stopped": warm_pool is not None
        and not warm_pool.running,
    }
    named = [name for name, asked in options.items() if asked]
    return f"the root of {image.recipe.name} is on an instance store: {named[0]}" if named else None


def data_volumes(where: str, recipe: Recipe, given: Mapping[str, Volume]) -> list[ec2.BlockDevice]:
    """Return the mappings of the volumes that the recipe declares.

    Raise InputError for one that it does not declare, and for what EBS would refuse.
    """
    unknown = sorted(given.keys() - {volume.name for volume in recipe.volumes})
    if unknown:
        raise InputError(
            f"{where}: the volume {', '.join(unknown)}, which the recipe {recipe.name} does not declare",
            hint=f"declare it under volumes in the recipe {recipe.name}: it says where it is mounted",
        )
    found = []
    for declared, device in zip(recipe.volumes, devices_of(recipe.volumes), strict=True):
        volume, smallest = given.get(declared.name, Volume()), declared.size // GIB
        problem = volume.problem(declared.name, smallest)
        if problem is not None:
            raise InputError(f"{where}: {problem}")
        properties = ec2.EbsDeviceProps(
            volume_size=smallest if volume.size is None else volume.size.to_gibibytes(),
            volume_type=ec2.EbsDeviceVolumeType.GP3,
            iops=volume.iops,
            throughput=volume.throughput,
            encrypted=True,
            kms_key=volume.key,
            delete_on_termination=not volume.keep,
        )
        found.append(ec2.BlockDevice(device_name=device, volume=ec2.BlockDeviceVolume(properties)))
    return found


def let_groups_use_keys(scope: Construct, given: Mapping[str, Volume]) -> None:
    """Let Auto Scaling launch clones whose volumes have a key of one's own.

    Source: "Required AWS KMS key policy for use with encrypted volumes", Auto Scaling user guide.
    """
    arn = (
        f"arn:{Stack.of(scope).partition}:iam::{Aws.ACCOUNT_ID}:role/aws-service-role/"
        "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    )
    for key in {volume.key.node.path: volume.key for volume in given.values() if volume.key}.values():
        group = iam.ArnPrincipal(arn)
        key.grant(
            group, "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[group],
                actions=["kms:CreateGrant"],
                resources=["*"],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            )
        )
