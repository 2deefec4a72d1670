"""Ways out of a VPC: elastic addresses, NAT gateways, VPC endpoints; and flow logs."""

from __future__ import annotations

import json

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    pick,
)
from localcloud.services.cloudformation.resources.ec2.network import create_tagged, tag


def _create_address(env: Env, properties: Properties) -> Created:
    address = env.call("ec2", "allocate_address", Domain=properties.get("Domain", "vpc"))
    env.exists(address["PublicIp"])
    tag(env, address["AllocationId"], properties)
    return Created(address["PublicIp"], pick(address, "AllocationId", "PublicIp"))


def _update_address(env: Env, address: str, old: Properties, new: Properties) -> Attributes:
    found = env.call("ec2", "describe_addresses", PublicIps=[address])["Addresses"][0]
    tag(env, found["AllocationId"], new)
    return pick(found, "AllocationId", "PublicIp")


def _delete_address(env: Env, address: str, properties: Properties) -> None:
    found = env.call("ec2", "describe_addresses", PublicIps=[address])["Addresses"]
    env.call("ec2", "release_address", AllocationId=found[0]["AllocationId"])


def _create_nat(env: Env, properties: Properties) -> Created:
    given = pick(properties, "SubnetId", "AllocationId", "ConnectivityType")
    gateway_id = create_tagged(env, properties, "NatGateway", **given)
    return Created(gateway_id, {"NatGatewayId": gateway_id})


def _update_nat(env: Env, gateway_id: str, old: Properties, new: Properties) -> Attributes:
    tag(env, gateway_id, new)
    return {"NatGatewayId": gateway_id}


def _delete_nat(env: Env, gateway_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_nat_gateway", NatGatewayId=gateway_id)


FIXED = ("ServiceName", "VpcId", "VpcEndpointType")
CHANGEABLE = ("SubnetIds", "SecurityGroupIds", "RouteTableIds")


def _create_endpoint(env: Env, properties: Properties) -> Created:
    given = pick(properties, *FIXED, *CHANGEABLE, "PrivateDnsEnabled")
    if "PolicyDocument" in properties:
        given["PolicyDocument"] = json.dumps(properties["PolicyDocument"])
    endpoint_id = create_tagged(env, properties, "VpcEndpoint", **given)
    return Created(endpoint_id, {"Id": endpoint_id, "DnsEntries": [], "NetworkInterfaceIds": []})


def _update_endpoint(env: Env, endpoint_id: str, old: Properties, new: Properties) -> Attributes:
    """Change the subnets, security groups and route tables of an endpoint, and its policy."""
    given: dict[str, Value] = pick(new, "PrivateDnsEnabled")
    for key in CHANGEABLE:
        before, after = (set(properties.get(key) or []) for properties in (old, new))
        given |= {f"Add{key}": sorted(after - before)} if after - before else {}
        given |= {f"Remove{key}": sorted(before - after)} if before - after else {}
    if old.get("PolicyDocument") != new.get("PolicyDocument"):
        given["PolicyDocument"] = json.dumps(new.get("PolicyDocument"))
    env.call("ec2", "modify_vpc_endpoint", VpcEndpointId=endpoint_id, **given)
    tag(env, endpoint_id, new)
    return {"Id": endpoint_id, "DnsEntries": [], "NetworkInterfaceIds": []}


def _delete_endpoint(env: Env, endpoint_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[endpoint_id])


def _create_flow_log(env: Env, properties: Properties) -> Created:
    given = {
        key: value
        for key, value in properties.items()
        if key not in ("ResourceId", "Tags", "DestinationOptions")
    }
    flow_log_id = env.call("ec2", "create_flow_logs", ResourceIds=[properties["ResourceId"]], **given)[
        "FlowLogIds"
    ][0]
    env.exists(flow_log_id)
    tag(env, flow_log_id, properties)
    return Created(flow_log_id, {"Id": flow_log_id})


def _delete_flow_log(env: Env, flow_log_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_flow_logs", FlowLogIds=[flow_log_id])


TYPES = {
    "AWS::EC2::EIP": ResourceType(_create_address, _update_address, _delete_address, frozenset({"Domain"})),
    "AWS::EC2::NatGateway": ResourceType(
        _create_nat, _update_nat, _delete_nat, frozenset({"SubnetId", "AllocationId", "ConnectivityType"})
    ),
    "AWS::EC2::VPCEndpoint": ResourceType(
        _create_endpoint,
        _update_endpoint,
        _delete_endpoint,
        frozenset(FIXED),
    ),
    "AWS::EC2::FlowLog": ResourceType(_create_flow_log, None, _delete_flow_log),
}
