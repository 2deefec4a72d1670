"""Where a builder runs and what it boots: checked before its launch, so that a mistake costs seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.instances.launch import TEMPLATE_ROOT, root_mappings
from ingot.aws.registry import amis
from ingot.aws.session.failures import code_of
from ingot.errors import PublishError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        BlockDeviceMappingTypeDef,
        EbsBlockDeviceTypeDef,
        InstanceTypeInfoTypeDef,
    )

    from ingot.aws.builder.settings import BuilderSettings
    from ingot.aws.session.clients import Clients
    from ingot.spec import BaseAmiSpec


@dataclass(frozen=True)
class Placement:
    """What a builder boots and where it may run."""

    ami_id: str
    subnet_ids: tuple[str, ...]
    mappings: tuple[BlockDeviceMappingTypeDef, ...]


def place_by_image(clients: Clients, settings: BuilderSettings) -> Placement:
    """Return what to launch; raise PublishError for an AMI, a type or subnets that cannot do it."""
    ami_id = resolve_image(clients, settings.image)
    image = amis.describe(clients, ami_id)
    if image is None:
        raise PublishError(
            f"the builder's image {ami_id} ({settings.image}) is gone, or not shared with this account",
            hint=_OTHER_IMAGE,
        )
    version = _template(clients, settings.launch_template_id)
    check_type(clients, str(version.get("InstanceType", "")), image)
    subnets = with_a_way_out(clients, settings.subnet_ids)
    return Placement(ami_id, subnets, _mappings(version, str(image.get("RootDeviceName", TEMPLATE_ROOT))))


def place_on_base(clients: Clients, settings: BuilderSettings, base: BaseAmiSpec, gib: int) -> Placement:
    """Return what to launch for a recipe on the base AMI ``base`` (as its lock has it), with a root volume of
    ``gib`` GiB.

    Raises PublishError for a volume that is smaller than the base's, and for a type or subnets that cannot do
    it.
    """
    if gib < base.root_size:
        raise PublishError(
            f"root_volume.size is {gib} GiB; the base AMI {base.id} needs {base.root_size} GiB",
            hint=f"write root_volume: {{size: {base.root_size}GiB}} in recipe.yaml",
        )
    image = amis.describe(clients, base.id)
    if image is None:
        raise PublishError(f"the base AMI {base.id} is gone")
    version = _template(clients, settings.launch_template_id)
    check_type(clients, str(version.get("InstanceType", "")), image)
    subnets = with_a_way_out(clients, settings.subnet_ids)
    root: EbsBlockDeviceTypeDef = {
        "VolumeSize": gib,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "Encrypted": True,
    }
    return Placement(base.id, subnets, root_mappings(base.root_device, root))


def resolve_image(clients: Clients, image: str) -> str:
    """Return the AMI id that ``image`` (an id, or the name of an SSM parameter) stands for."""
    if not image.startswith("/"):
        return image
    try:
        return clients.ssm.get_parameter(Name=image)["Parameter"]["Value"]
    except ClientError as error:
        if code_of(error) != "ParameterNotFound":
            raise
        raise PublishError(
            f"there is no SSM parameter {image} in {clients.region}, which should name the builder's image",
            hint=_OTHER_IMAGE,
        ) from error


def _template(clients: Clients, template_id: str) -> Mapping[str, Any]:
    answer = clients.ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["$Latest"])
    return answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]


def check_type(clients: Clients, name: str, image: Mapping[str, Any]) -> None:
    """Raise PublishError unless a type can boot the image: architecture, boot mode, NVMe volumes."""
    try:
        # The types of boto3-stubs are a list of those that AWS had on the day of a release.
        answer = clients.ec2.describe_instance_types(InstanceTypes=[name])  # type: ignore[list-item]
        [info] = answer["InstanceTypes"]
    except ClientError as error:
        if code_of(error) != "InvalidInstanceType":
            raise
        raise PublishError(
            f"there is no instance type {name!r} in {clients.region}", hint=_OTHER_TYPE
        ) from error
    lacks = _lacks(info, image)
    if lacks:
        raise PublishError(f"the instance type {name} {' and '.join(lacks)}", hint=_OTHER_TYPE)


_OTHER_IMAGE = (
    "name another one: ingot publish --builder-image …, or deploy the builder's stack with -c builder_image=…"
)
_OTHER_TYPE = "deploy the builder's stack with a Nitro type, such as -c builder_instance_type=c7i.large"


def _lacks(info: InstanceTypeInfoTypeDef, image: Mapping[str, Any]) -> list[str]:
    lacks = []
    architectures = info["ProcessorInfo"].get("SupportedArchitectures", [])
    if image["Architecture"] not in architectures:
        lacks.append(
            f"is of {' and '.join(architectures)}, the image {image['ImageId']} of {image['Architecture']}"
        )
    modes = info.get("SupportedBootModes", [])
    if image.get("BootMode") == "uefi" and "uefi" not in modes:
        lacks.append(f"cannot boot by UEFI, as the image {image['ImageId']} must")
    if info.get("EbsInfo", {}).get("NvmeSupport", "unsupported") == "unsupported":
        lacks.append("has no NVMe volumes")
    return lacks


def with_a_way_out(clients: Clients, subnet_ids: Sequence[str]) -> tuple[str, ...]:
    """Return those of the subnets from which a builder reaches S3, EBS direct and the mirrors.

    Raises PublishError when none does. That is by a default route (to an Internet gateway it takes a public
    address, which the subnet has to give), or by an interface endpoint for EBS direct in their VPC. A subnet
    without a route table of its own uses its VPC's main one (Amazon VPC User Guide, "Subnet route tables").
    """
    subnets = clients.ec2.describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    vpcs = sorted({subnet["VpcId"] for subnet in subnets})
    tables = clients.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": vpcs}])["RouteTables"]
    chosen: dict[str, Mapping[str, Any]] = {}
    main: dict[str, Mapping[str, Any]] = {}
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("Main"):
                main[table["VpcId"]] = table
            elif "SubnetId" in association:
                chosen[association["SubnetId"]] = table
    table_of = {
        subnet["SubnetId"]: chosen.get(subnet["SubnetId"], main.get(subnet["VpcId"], {}))
        for subnet in subnets
    }
    public = {subnet["SubnetId"] for subnet in subnets if subnet.get("MapPublicIpOnLaunch", False)}
    out = tuple(name for name in subnet_ids if _leads_out(table_of.get(name, {}), addressed=name in public))
    if out:
        return out
    filters = [
        {"Name": "vpc-id", "Values": vpcs},
        {"Name": "service-name", "Values": [f"com.amazonaws.{clients.region}.ebs"]},
    ]
    if clients.ec2.describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]:  # type: ignore[arg-type]
        return tuple(subnet_ids)
    if any(_leads_out(table, addressed=True) for table in table_of.values()):
        raise PublishError(
            "no subnet of the builder's stack has a way out: there are no automatic public addresses in "
            f"{', '.join(table_of)}, whose default routes lead to an Internet gateway",
            hint=(
                "switch them on: aws ec2 modify-subnet-attribute --subnet-id SUBNET --map-public-ip-on-launch"
            ),
        )
    routes = ", ".join(
        f"{name} ({table.get('RouteTableId', 'no route table')})" for name, table in table_of.items()
    )
    raise PublishError(
        f"no subnet of the builder's stack has a way out: there is no route for 0.0.0.0/0 in {routes}",
        hint=(
            "give the route table a default route to an Internet gateway or a NAT gateway, "
            "or the VPC endpoints for s3, ebs and logs"
        ),
    )


def _leads_out(table: Mapping[str, Any], *, addressed: bool) -> bool:
    """Tell whether there is a default route for a machine; ``addressed``: it has a public address."""
    return any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0"
        and route.get("State", "active") == "active"
        and (addressed or not str(route.get("GatewayId", "")).startswith("igw-"))
        for route in table.get("Routes", [])
    )


def _mappings(template: Mapping[str, Any], root: str) -> tuple[BlockDeviceMappingTypeDef, ...]:
    """Return the mappings that give an AMI with another root device the template's root volume."""
    if root == TEMPLATE_ROOT:
        return ()
    for mapping in template.get("BlockDeviceMappings", []):
        if mapping.get("DeviceName") == TEMPLATE_ROOT:
            return root_mappings(root, mapping["Ebs"])
    return ()
