"""A shell on a clone by AWS Systems Manager, where it is wanted: no SSH, no key, no inbound rule.

The image needs the agent (docs/constructs.md). What the role may do, and nothing else of Systems Manager:
"Add Session Manager permissions to an existing IAM role", Systems Manager user guide.
"""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.machines import arn

CHANNELS = [
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
]


def session_role(scope: Construct) -> iam.Role:
    """Return a role for clones that lets the agent keep its channels, and nothing more."""
    role = iam.Role(
        scope,
        "Sessions",
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        description="Clones: Session Manager's channels, nothing else",
    )
    role.add_to_policy(iam.PolicyStatement(sid="Sessions", actions=CHANNELS, resources=["*"]))
    role.add_to_policy(
        iam.PolicyStatement(
            sid="Register",
            actions=["ssm:UpdateInstanceInformation"],
            resources=[arn(scope, "ec2", "instance/*")],
        )
    )
    policy = role.node.find_child("DefaultPolicy")
    departs(
        policy,
        "AwsSolutions-IAM5",
        "The channels' actions know no resources: they concern the instance that calls. Its id is known to "
        "nobody before it runs.",
    )
    return role


def session_endpoints(
    scope: Construct, *, vpc: ec2.IVpc, subnets: ec2.SubnetSelection, clones: ec2.SecurityGroup
) -> None:
    """Let clones without a way out reach Systems Manager by two endpoints, which only clones may call."""
    for name, service in (
        ("Ssm", ec2.InterfaceVpcEndpointAwsService.SSM),
        ("SsmMessages", ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES),
    ):
        endpoint = ec2.InterfaceVpcEndpoint(
            scope, name, vpc=vpc, service=service, subnets=subnets, open=False
        )
        endpoint.connections.allow_default_port_from(clones, "Agent of Session Manager")
