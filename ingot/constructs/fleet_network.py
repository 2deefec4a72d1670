"""The network of a fleet that was given none."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.machines import cidr_network


def fleet_network(scope: Construct, *, cidr: str, egress: bool) -> ec2.Vpc:
    """Return a VPC over two zones: public subnets for the load balancer, others for the clones.

    A clone brings with it all that it serves with, and reads the time and its metadata from link-local addresses: it needs no way out.
    With ``egress`` there is one, by one NAT gateway (its price is most of a small fleet's).
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
    )
    departs(
        vpc,
        "AwsSolutions-VPC7",
        "Whether flow logs are kept, where and for how long is the account's policy: give a VPC that has them where they are required.",
    )
    return vpc
