"""What every launch template of Ingot has in common."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Size, Stack, Token
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ingot.errors import InputError
from ingot.quantities import GIB

# The name of the root device in every AMI that Ingot makes from scratch: what Debian's and Amazon's own AMIs
# use; one on a base AMI has the base's. On Nitro the machine sees an NVMe disk all the same; the name only
# ties the AMI's mapping and the template's together.
ROOT_DEVICE = "/dev/xvda"


def root_volume(
    *, size: int | None = None, initialization_rate: int | None = None, device: str = ROOT_DEVICE
) -> ec2.BlockDevice:
    """Return the root disk: gp3, encrypted, deleted with its machine.

    ``size`` is in bytes, by default the snapshot's. EBS counts in GiB: a part of one is rounded up.
    ``initialization_rate``: MiB/s, 100 to 300. ``device``: the AMI's root device; a mapping of another name
    would be a second, blank volume.
    """
    return ec2.BlockDevice(
        device_name=device,
        volume=ec2.BlockDeviceVolume(
            ec2.EbsDeviceProps(
                encrypted=True,
                delete_on_termination=True,
                volume_type=ec2.EbsDeviceVolumeType.GP3,
                volume_size=None if size is None else -(-size // GIB),
                volume_initialization_rate=None
                if initialization_rate is None
                else Size.mebibytes(initialization_rate),
            )
        ),
    )


def closed_group(
    scope: Construct, id_: str, *, vpc: ec2.IVpc, description: str, outbound: bool
) -> ec2.SecurityGroup:
    """Return a security group that lets nothing in; ``outbound`` says whether everything may go out.

    The metadata service, Amazon's DNS and its time source are reached in any case: security groups do not
    filter them (Amazon VPC User Guide, "Control traffic to your AWS resources using security groups").
    """
    return ec2.SecurityGroup(
        scope, id_, vpc=vpc, description=description, allow_all_outbound=outbound, disable_inline_rules=False
    )


def cidr_network(
    scope: Construct,
    id_: str,
    *,
    cidr: str,
    subnets: list[ec2.SubnetConfiguration],
    nat: int,
    zones: int | Sequence[str] = 2,
) -> ec2.Vpc:
    """Return a VPC over two availability zones, or as many or those that are wanted.

    Raise InputError where the stack knows fewer, or other ones.

    The default security group is left as it is: nothing of ours uses it, and emptying it takes a Lambda
    function.
    """
    given = {"max_azs": zones} if isinstance(zones, int) else {"availability_zones": [*zones]}
    _check_zones(scope, zones)
    return ec2.Vpc(
        scope,
        id_,
        ip_addresses=ec2.IpAddresses.cidr(cidr),
        nat_gateways=nat,
        subnet_configuration=subnets,
        restrict_default_security_group=False,
        **given,
    )


def _check_zones(scope: Construct, zones: int | Sequence[str]) -> None:
    """Raise InputError for fewer than two zones, and for more or others than the stack knows."""
    known = Stack.of(scope).availability_zones
    if isinstance(zones, int):
        if 2 <= zones <= len(known):
            return
        raise InputError(
            f"{scope.node.path}: zones must be from 2 to {len(known)}, which the stack knows, not {zones}",
            hint="a stack without a region knows two, unless it overrides availability_zones "
            "as stacks/base.py does",
        )
    if len({*zones}) < 2 or len({*zones}) != len(zones):
        raise InputError(
            f"{scope.node.path}: zones must name two at least, each once, not {', '.join(zones) or 'none'}"
        )
    # Before the CDK CLI has looked a region's zones up, the CDK has dummies in their place.
    unknown = any(Token.is_unresolved(name) or name.startswith("dummy") for name in known)
    strange = [] if unknown else sorted({*zones} - {*known})
    if strange:
        raise InputError(f"{scope.node.path}: zones {', '.join(strange)}; the stack knows {', '.join(known)}")


def arn(scope: Construct, service: str, resource: str, *, account: str | None = None) -> str:
    """Return an ARN in the stack's partition and region.

    ``account`` may be empty, as snapshots and AMIs need it.
    """
    stack = Stack.of(scope)
    owner = stack.account if account is None else account
    return f"arn:{stack.partition}:{service}:{stack.region}:{owner}:{resource}"
