"""The network of a fleet: one of its own, or its places in a VPC that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.machines import cidr_network
from ingot.errors import InputError


@dataclass(frozen=True)
class CalledService:
    """A service of AWS that clones call, and who of them does, as rules of security groups say it."""

    endpoint: ec2.InterfaceVpcEndpointAwsService
    caller: str


def fleet_network(scope: Construct, *, cidr: str, egress: bool, zones: int | Sequence[str]) -> ec2.Vpc:
    """Return a VPC over so many zones, or over these.

    It has public subnets for the load balancer, and others for the clones.

    A clone brings with it all that it serves with, and reads the time and its metadata from link-local
    addresses: it needs no way out. With ``egress`` there is one, by one NAT gateway (its price is most of a
    small fleet's).
    """
    kind = ec2.SubnetType.PRIVATE_WITH_EGRESS if egress else ec2.SubnetType.PRIVATE_ISOLATED
    vpc = cidr_network(
        scope,
        "Network",
        cidr=cidr,
        subnets=[
            ec2.SubnetConfiguration(
                name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
            ),
            ec2.SubnetConfiguration(name="Clones", subnet_type=kind),
        ],
        nat=1 if egress else 0,
        zones=zones,
    )
    departs(
        vpc,
        "AwsSolutions-VPC7",
        "Whether flow logs are kept, where and for how long is the account's policy: give a VPC that has "
        "them where they are required.",
    )
    return vpc


def service_endpoints(
    scope: Construct,
    *,
    vpc: ec2.IVpc,
    subnets: ec2.SubnetSelection,
    clones: ec2.Connections,
    services: Mapping[str, CalledService],
) -> None:
    """Let clones without a way out reach services by endpoints, which only clones may call.

    ``services``: each with the id of its endpoint.
    """
    for id_, service in services.items():
        endpoint = ec2.InterfaceVpcEndpoint(
            scope, id_, vpc=vpc, service=service.endpoint, subnets=subnets, open=False
        )
        clones.allow_to_default_port(endpoint, service.caller)


def subnets_for_clones(scope: Construct, vpc: ec2.IVpc, *, egress: bool) -> ec2.SubnetSelection:
    """Return the most closed subnets that serve the purpose; raise InputError where there are but public
    ones.

    A clone in a public subnet may get a public address, and no construct should decide that without being
    told.
    """
    wanted = [ec2.SubnetType.PRIVATE_WITH_EGRESS]
    if not egress:
        wanted.insert(0, ec2.SubnetType.PRIVATE_ISOLATED)
    subnets = {
        ec2.SubnetType.PRIVATE_ISOLATED: vpc.isolated_subnets,
        ec2.SubnetType.PRIVATE_WITH_EGRESS: vpc.private_subnets,
    }
    for kind in wanted:
        if subnets[kind]:
            return ec2.SubnetSelection(subnet_type=kind)
    lacking = "private subnets, which egress needs" if egress else "isolated or private subnets"
    raise InputError(
        f"{scope.node.path}: the VPC has no {lacking}; there is: {_counted(vpc)}",
        hint=(
            "give clone_subnets=ec2.SubnetSelection(…): public subnets are taken for clones when they are"
            " named, and only then"
        ),
    )


def check_balancer_subnets(scope: Construct, vpc: ec2.IVpc, *, internet_facing: bool) -> None:
    """Raise InputError unless the load balancer has subnets of its kind in the two zones that it needs."""
    subnets = vpc.public_subnets if internet_facing else vpc.private_subnets or vpc.isolated_subnets
    zones = len({subnet.availability_zone for subnet in subnets})
    if zones >= 2:
        return
    kind = "public" if internet_facing else "private or isolated"
    hint = "give a VPC with more" + (", or internet_facing=False" if internet_facing else "")
    raise InputError(
        f"{scope.node.path}: the load balancer needs {kind} subnets in two zones; the VPC has them in "
        f"{zones}",
        hint=hint,
    )


def _counted(vpc: ec2.IVpc) -> str:
    kinds = {"public": vpc.public_subnets, "private": vpc.private_subnets, "isolated": vpc.isolated_subnets}
    return ", ".join(f"{len(subnets)} {kind}" for kind, subnets in kinds.items())
