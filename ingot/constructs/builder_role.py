"""What a builder instance may do, statement by statement."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.machines import arn

# Every snapshot and AMI of Ingot carries this tag from the moment it exists.
TAG = "ingot:recipe"


def builder_role(scope: Construct, id_: str, *, bundles: s3.IBucket, log_group: logs.ILogGroup) -> iam.Role:
    """Return the role of builder instances: read its bundle, write its log, make snapshots and AMIs that bear the tag.

    It may not write the registry: `ingot publish` does so, after the test clone has passed. It may not start machines, and
    it reads and writes no snapshot but those that Ingot tagged. Which action takes which resource and condition: Service
    Authorization Reference, "Amazon EC2" and "Amazon Elastic Block Store".
    """
    role = iam.Role(
        scope,
        id_,
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        description="Builder instances of Ingot: read a bundle, write a log, make tagged snapshots and AMIs",
    )
    snapshots = arn(scope, "ec2", "snapshot/*", account="")
    images = arn(scope, "ec2", "image/*", account="")
    for statement in [
        _allow("ReadBundle", ["s3:GetObject"], [bundles.arn_for_objects("bundles/*")]),
        _allow(
            "WriteLog",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [log_group.log_group_arn],  # ends in :*, which is its streams
        ),
        _allow(
            "StartTagged", ["ebs:StartSnapshot"], [snapshots], {"Null": {f"aws:RequestTag/{TAG}": "false"}}
        ),
        _allow(
            "FillAndReadTagged",
            [
                "ebs:PutSnapshotBlock",
                "ebs:CompleteSnapshot",
                "ebs:ListSnapshotBlocks",
                "ebs:GetSnapshotBlock",
                "ec2:DeleteSnapshot",
            ],
            [snapshots],
            {"Null": {f"aws:ResourceTag/{TAG}": "false"}},
        ),
        _allow(
            "RegisterTagged", ["ec2:RegisterImage"], [images], {"Null": {f"aws:RequestTag/{TAG}": "false"}}
        ),
        _allow(
            "RegisterFromTagged",
            ["ec2:RegisterImage"],
            [snapshots],
            {"Null": {f"aws:ResourceTag/{TAG}": "false"}},
        ),
        _allow(
            "DeregisterTagged",
            ["ec2:DeregisterImage"],
            [images],
            {"Null": {f"aws:ResourceTag/{TAG}": "false"}},
        ),
        # Only as part of a call that creates: a tag put on a foreign snapshot afterwards would open it to the statements above.
        _allow(
            "TagWhatItCreates",
            ["ec2:CreateTags"],
            [snapshots, images],
            {"StringEquals": {"ec2:CreateAction": ["StartSnapshot", "RegisterImage"]}},
        ),
        _allow("Look", ["ec2:DescribeSnapshots", "ec2:DescribeImages"], ["*"]),
    ]:
        role.add_to_policy(statement)
    _explain(role)
    return role


def _allow(
    sid: str, actions: list[str], resources: list[str], conditions: dict[str, object] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)


def _explain(role: iam.Role) -> None:
    """Say why wildcards stand in the policy."""
    policy = role.node.find_child("DefaultPolicy")
    departs(
        policy,
        "AwsSolutions-IAM5",
        "ids of snapshots and AMIs are AWS's choice: the condition on the ingot:recipe tag narrows them; Describe calls take no resource; "
        "bundles and log streams are named at run time.",
    )
