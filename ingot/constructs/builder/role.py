"""What a builder instance may do, statement by statement."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.machines import arn

# Every snapshot of Ingot carries this tag from the moment it exists.
TAG = "ingot:recipe"


def builder_role(scope: Construct, id_: str, *, bundles: s3.IBucket, log_group: logs.ILogGroup) -> iam.Role:
    """Return the role of builder instances.

    They read the bundle and packages, and write a log, the manifest, and blocks of snapshots that bear the
    tag.

    They create nothing: `ingot publish` starts the snapshot, completes it, registers the AMI and writes the
    registry, with its own permissions (docs/decisions/0004-builder-instance.md). Which action takes which
    resource and condition: Service Authorization Reference, "Amazon Elastic Block Store" and "Amazon S3".
    """
    role = iam.Role(
        scope,
        id_,
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        description="Builder instances of Ingot: read a bundle, write a log, fill a tagged snapshot",
    )
    read = [bundles.arn_for_objects(f"{prefix}/*") for prefix in ("bundles", "packages")]
    for statement in [
        _allow("ReadBundle", ["s3:GetObject"], read),
        _allow("LeaveManifest", ["s3:PutObject"], [bundles.arn_for_objects("results/*")]),
        _allow(
            "WriteLog",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [log_group.log_group_arn],  # ends in :*, which is its streams
        ),
        _allow(
            "FillTagged",
            ["ebs:PutSnapshotBlock"],
            [arn(scope, "ec2", "snapshot/*", account="")],
            {"Null": {f"aws:ResourceTag/{TAG}": "false"}},
        ),
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
        "ids of snapshots are AWS's choice: the condition on the ingot:recipe tag narrows them; "
        "bundles, manifests and log streams are named at run time.",
    )
