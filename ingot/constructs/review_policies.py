"""What the roles of continuous integration may do, statement by statement.

Which action takes which resource and condition: Service Authorization Reference. docs/aws.md has the same policy for people; a test
holds the two together.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.machines import arn

TAG = "ingot:recipe"
# The name that `cdk bootstrap` puts into everything that it makes, unless told otherwise.
QUALIFIER = "hnb659fds"


def looking(scope: Construct, *, stacks: str) -> list[iam.PolicyStatement]:
    """Return what `ingot plan --deployed` and the registry's questions need: to read, and nothing else."""
    return [
        _allow(
            "Look",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "ec2:DescribeImages",
                "ec2:DescribeSnapshots",
                "sts:GetCallerIdentity",
            ],
            ["*"],
        ),
        _allow(
            "LookAtStacks",
            [
                "cloudformation:DescribeStacks",
                "cloudformation:DescribeStackResource",
                "cloudformation:GetTemplate",
            ],
            [arn(scope, "cloudformation", f"stack/{stacks}*")],
        ),
        _allow("LookAtRegistry", ["ssm:GetParameter"], [arn(scope, "ssm", "parameter/ingot/*")]),
        _allow(
            "ReadImages",
            ["ebs:ListSnapshotBlocks", "ebs:GetSnapshotBlock"],
            [arn(scope, "ec2", "snapshot/*", account="")],
            {"Null": {f"aws:ResourceTag/{TAG}": "false"}},
        ),
    ]


def deploying(scope: Construct) -> list[iam.PolicyStatement]:
    """Return what `ingot deploy`, `publish`, `status` and `verify` need beyond ``looking``."""
    snapshots, images = arn(scope, "ec2", "snapshot/*", account=""), arn(scope, "ec2", "image/*", account="")
    instances, volumes = arn(scope, "ec2", "instance/*"), arn(scope, "ec2", "volume/*")
    templates = arn(scope, "ec2", "launch-template/*")
    ours = {"Null": {f"aws:ResourceTag/{TAG}": "false"}}
    stack = Stack.of(scope)
    roles = f"arn:{stack.partition}:iam::{stack.account}:role/cdk-{QUALIFIER}-*"
    blocks = [
        "ebs:PutSnapshotBlock",
        "ebs:CompleteSnapshot",
        "ebs:ListSnapshotBlocks",
        "ebs:GetSnapshotBlock",
    ]
    return [
        _allow("DeployByTheBootstrapRoles", ["sts:AssumeRole"], [roles]),
        _allow(
            "LookAtFleets",
            [
                "autoscaling:DescribeInstanceRefreshes",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetEbsEncryptionByDefault",
                "elasticloadbalancing:DescribeTargetHealth",
            ],
            ["*"],
        ),
        _allow(
            "Registry",
            ["ssm:PutParameter", "ssm:DeleteParameter", "ssm:AddTagsToResource"],
            [arn(scope, "ssm", "parameter/ingot/*")],
        ),
        _allow("BootstrapVersion", ["ssm:GetParameters"], [arn(scope, "ssm", "parameter/cdk-bootstrap/*")]),
        _allow("Begin", ["ebs:StartSnapshot"], [snapshots], {"Null": {f"aws:RequestTag/{TAG}": "false"}}),
        _allow(
            "Blocks",
            [*blocks, "ec2:DeleteSnapshot", "ec2:DeregisterImage", "ec2:CreateTags"],
            [snapshots, images],
            ours,
        ),
        _allow("Register", ["ec2:RegisterImage"], [images, snapshots]),
        _allow(
            "TagOnCreate",
            ["ec2:CreateTags"],
            [snapshots, images, instances, volumes],
            {"StringEquals": {"ec2:CreateAction": ["StartSnapshot", "RegisterImage", "RunInstances"]}},
        ),
        _allow("TestClone", ["ec2:RunInstances"], ["*"], {"ArnLike": {"ec2:LaunchTemplate": templates}}),
        _allow("TestCloneEnds", ["ec2:TerminateInstances", "ec2:GetConsoleOutput"], [instances], ours),
    ]


def never_deploying() -> list[iam.PolicyStatement]:
    """Return what a pull request is denied whatever else is attached to its role one day."""
    return [
        iam.PolicyStatement(
            sid="NeverDeploy",
            effect=iam.Effect.DENY,
            actions=[
                "sts:AssumeRole",
                "cloudformation:CreateChangeSet",
                "cloudformation:CreateStack",
                "cloudformation:DeleteStack",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:UpdateStack",
                "ec2:RunInstances",
                "iam:*",
                "ssm:DeleteParameter",
                "ssm:PutParameter",
            ],
            resources=["*"],
        )
    ]


def _allow(
    sid: str, actions: list[str], resources: list[str], conditions: dict[str, dict[str, Any]] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
