"""A shell on a clone by AWS Systems Manager, where it is wanted: no SSH, no key, no inbound rule.

The image needs the agent (docs/constructs.md). What the role may do, and nothing else of Systems Manager:
"Add Session Manager permissions to an existing IAM role", Systems Manager user guide.
"""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet.network import CalledService
from ingot.constructs.machines import arn

CHANNELS = [
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
]
# What the agent talks to, each with an id for its endpoint.
SERVICES = {
    "Ssm": CalledService(ec2.InterfaceVpcEndpointAwsService.SSM, "Agent of Session Manager"),
    "SsmMessages": CalledService(ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES, "Agent of Session Manager"),
}


def allow_sessions(scope: Construct, role: iam.IRole) -> None:
    """Let clones' agent keep its channels, and nothing more."""
    role.add_to_principal_policy(iam.PolicyStatement(sid="Sessions", actions=CHANNELS, resources=["*"]))
    role.add_to_principal_policy(
        iam.PolicyStatement(
            sid="Register",
            actions=["ssm:UpdateInstanceInformation"],
            resources=[arn(scope, "ec2", "instance/*")],
        )
    )
    policy = role.node.try_find_child("DefaultPolicy") or role.node.try_find_child("Policy")
    if policy is not None:  # a given role may be one that this stack must not change
        departs(
            policy,
            "AwsSolutions-IAM5",
            "The channels' actions know no resources: they concern the instance that calls. Its id is known "
            "to nobody before it runs.",
        )
