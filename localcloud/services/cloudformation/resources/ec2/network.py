"""VPCs and what is in them.

Source: "Amazon EC2 resource type reference", CloudFormation template reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    pick,
)


def tag(env: Env, resource_id: str, properties: Properties) -> None:
    """Put the tags on an EC2 resource.

    CloudFormation's own have the prefix ``aws:``, which only AWS may use: they go in directly.
    """
    from moto.ec2.models import ec2_backends

    backend = ec2_backends[env.context.account][env.region]
    backend.create_tags([resource_id], env.tags(properties))


def create_tagged(env: Env, properties: Properties, kind: str, **given: Value) -> str:
    """Create an EC2 resource, put the tags of ``properties`` on it, and return its id.

    ``kind``: its name in the API, from which follow the names of the operation, ``CreateRouteTable``, and of
    what it returns, ``RouteTable`` with a ``RouteTableId``.
    """
    operation = "create" + re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", kind)
    resource_id = str(env.call("ec2", operation, **given)[kind][f"{kind}Id"])
    env.exists(resource_id)
    tag(env, resource_id, properties)
    return resource_id


def _retag(
    attributes: Callable[[Env, str], Attributes],
) -> Callable[[Env, str, Properties, Properties], Attributes]:
    """Return an update for types of which only the tags can change."""

    def update(env: Env, physical_id: str, old: Properties, new: Properties) -> Attributes:
        tag(env, physical_id, new)
        return attributes(env, physical_id)

    return update


# -- VPC


def _vpc_attributes(env: Env, vpc_id: str) -> Attributes:
    vpc = env.call("ec2", "describe_vpcs", VpcIds=[vpc_id])["Vpcs"][0]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    by_name = [*of_vpc, {"Name": "group-name", "Values": ["default"]}]
    groups = env.call("ec2", "describe_security_groups", Filters=by_name)["SecurityGroups"]
    lists = env.call("ec2", "describe_network_acls", Filters=of_vpc)["NetworkAcls"]
    return {
        "VpcId": vpc_id,
        "CidrBlock": vpc["CidrBlock"],
        "CidrBlockAssociations": [a["AssociationId"] for a in vpc.get("CidrBlockAssociationSet", [])],
        "DefaultSecurityGroup": groups[0]["GroupId"] if groups else "",
        "DefaultNetworkAcl": lists[0]["NetworkAclId"] if lists else "",
        "Ipv6CidrBlocks": [],
    }


def _vpc_dns(env: Env, vpc_id: str, properties: Properties) -> None:
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        if name in properties:
            env.call("ec2", "modify_vpc_attribute", VpcId=vpc_id, **{name: {"Value": properties[name]}})


def _create_vpc(env: Env, properties: Properties) -> Created:
    vpc_id = env.call("ec2", "create_vpc", **pick(properties, "CidrBlock", "InstanceTenancy"))["Vpc"]["VpcId"]
    env.exists(vpc_id)
    _vpc_dns(env, vpc_id, properties)
    tag(env, vpc_id, properties)
    return Created(vpc_id, _vpc_attributes(env, vpc_id))


def _update_vpc(env: Env, vpc_id: str, old: Properties, new: Properties) -> Attributes:
    _vpc_dns(env, vpc_id, new)
    tag(env, vpc_id, new)
    return _vpc_attributes(env, vpc_id)


def _delete_vpc(env: Env, vpc_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_vpc", VpcId=vpc_id)


# -- subnet


def _subnet_attributes(env: Env, subnet_id: str) -> Attributes:
    subnet = env.call("ec2", "describe_subnets", SubnetIds=[subnet_id])["Subnets"][0]
    return {
        **pick(subnet, "AvailabilityZone", "VpcId", "CidrBlock", "AvailabilityZoneId"),
        "SubnetId": subnet_id,
    }


def _create_subnet(env: Env, properties: Properties) -> Created:
    given = pick(properties, "VpcId", "CidrBlock", "AvailabilityZone")
    subnet_id = env.call("ec2", "create_subnet", **given)["Subnet"]["SubnetId"]
    env.exists(subnet_id)
    return Created(subnet_id, _update_subnet(env, subnet_id, {}, properties))


def _update_subnet(env: Env, subnet_id: str, old: Properties, new: Properties) -> Attributes:
    if old.get("MapPublicIpOnLaunch") != new.get("MapPublicIpOnLaunch"):
        public = {"Value": new.get("MapPublicIpOnLaunch", False)}
        env.call("ec2", "modify_subnet_attribute", SubnetId=subnet_id, MapPublicIpOnLaunch=public)
    tag(env, subnet_id, new)
    return _subnet_attributes(env, subnet_id)


def _delete_subnet(env: Env, subnet_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_subnet", SubnetId=subnet_id)


# -- internet gateway


def _create_gateway(env: Env, properties: Properties) -> Created:
    gateway_id = create_tagged(env, properties, "InternetGateway")
    return Created(gateway_id, {"InternetGatewayId": gateway_id})


def _delete_gateway(env: Env, gateway_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_internet_gateway", InternetGatewayId=gateway_id)


def _attach_gateway(env: Env, properties: Properties) -> Created:
    env.call("ec2", "attach_internet_gateway", **pick(properties, "VpcId", "InternetGatewayId"))
    return Created(f"IGW|{properties['VpcId']}", {"AttachmentType": "IGW"})


def _detach_gateway(env: Env, physical_id: str, properties: Properties) -> None:
    env.call("ec2", "detach_internet_gateway", **pick(properties, "VpcId", "InternetGatewayId"))


# -- routes


def _create_table(env: Env, properties: Properties) -> Created:
    table_id = create_tagged(env, properties, "RouteTable", VpcId=properties["VpcId"])
    return Created(table_id, {"RouteTableId": table_id})


def _delete_table(env: Env, table_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_route_table", RouteTableId=table_id)


def _create_route(env: Env, properties: Properties) -> Created:
    env.call("ec2", "create_route", **properties)
    target = properties.get("DestinationCidrBlock") or properties.get("DestinationIpv6CidrBlock")
    return Created(f"{properties['RouteTableId']}|{target}", {"CidrBlock": target})


def _delete_route(env: Env, physical_id: str, properties: Properties) -> None:
    names = ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock")
    env.call("ec2", "delete_route", **pick(properties, *names))


def _associate(env: Env, properties: Properties) -> Created:
    given: dict[str, Value] = pick(properties, "RouteTableId", "SubnetId")
    association = env.call("ec2", "associate_route_table", **given)["AssociationId"]
    return Created(association, {"Id": association})


def _disassociate(env: Env, association: str, properties: Properties) -> None:
    env.call("ec2", "disassociate_route_table", AssociationId=association)


TYPES = {
    "AWS::EC2::VPC": ResourceType(_create_vpc, _update_vpc, _delete_vpc, frozenset({"CidrBlock"})),
    "AWS::EC2::Subnet": ResourceType(
        _create_subnet, _update_subnet, _delete_subnet, frozenset({"VpcId", "CidrBlock", "AvailabilityZone"})
    ),
    "AWS::EC2::InternetGateway": ResourceType(
        _create_gateway, _retag(lambda env, physical_id: {"InternetGatewayId": physical_id}), _delete_gateway
    ),
    "AWS::EC2::VPCGatewayAttachment": ResourceType(_attach_gateway, None, _detach_gateway),
    "AWS::EC2::RouteTable": ResourceType(
        _create_table,
        _retag(lambda env, physical_id: {"RouteTableId": physical_id}),
        _delete_table,
        frozenset({"VpcId"}),
    ),
    "AWS::EC2::Route": ResourceType(_create_route, None, _delete_route),
    "AWS::EC2::SubnetRouteTableAssociation": ResourceType(_associate, None, _disassociate),
}
