"""What the roles of continuous integration may do.

``ingot/policies/`` holds the policies of docs/aws.md, which are tested action by action; here they get the stack's own account and partition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

# The name that `cdk bootstrap` puts into everything that it makes, unless told otherwise.
QUALIFIER = "hnb659fds"


# The stacks that the documented policies speak of.
STACKS = "stack/Ingot*/*"


def policy(
    scope: Construct, name: str, stacks: Sequence[str], words: Mapping[str, str] | None = None
) -> iam.PolicyDocument:
    """Return the policy ``name`` of ingot/policies for the account of the stack around ``scope``.

    ``stacks``: the names of the app's stacks, ``*`` for any rest of a name. ``words``: what stands in the places of others.
    """
    stack = Stack.of(scope)
    text = (files("ingot") / "policies" / f"{name}.json").read_text(encoding="utf-8")
    text = text.replace("arn:aws:", f"arn:{stack.partition}:").replace(":ACCOUNT:", f":{stack.account}:")
    for word, value in (words or {}).items():
        text = text.replace(word, value)
    content: dict[str, Any] = json.loads(text)
    for statement in content["Statement"]:
        if str(statement["Resource"]).endswith(STACKS):
            statement["Resource"] = _named(str(statement["Resource"]).removesuffix(STACKS), stacks)
    return iam.PolicyDocument.from_json(content)


def _named(prefix: str, stacks: Sequence[str]) -> list[str]:
    return [f"{prefix}stack/{name}/*" for name in stacks]


def planning(scope: Construct, stacks: Sequence[str]) -> iam.PolicyDocument:
    """Return what `ingot plan --deployed` needs beyond looking: the templates, and which group a logical id is."""
    stack = Stack.of(scope)
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="CompareStacks",
                actions=["cloudformation:DescribeStackResource", "cloudformation:GetTemplate"],
                resources=_named(f"arn:{stack.partition}:cloudformation:*:{stack.account}:", stacks),
            )
        ]
    )


def bootstrap_roles(scope: Construct) -> iam.PolicyDocument:
    """Return what a deployment needs of the CDK: to take the roles that `cdk bootstrap` made."""
    stack = Stack.of(scope)
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="DeployByTheBootstrapRoles",
                actions=["sts:AssumeRole"],
                resources=[f"arn:{stack.partition}:iam::{stack.account}:role/cdk-{QUALIFIER}-*"],
            )
        ]
    )


def never_deploying() -> iam.PolicyDocument:
    """Return what a pull request is denied, whatever else is attached to its role one day."""
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="NeverDeploy",
                effect=iam.Effect.DENY,
                actions=[
                    "cloudformation:CreateChangeSet",
                    "cloudformation:CreateStack",
                    "cloudformation:DeleteStack",
                    "cloudformation:ExecuteChangeSet",
                    "cloudformation:UpdateStack",
                    "ebs:StartSnapshot",
                    "ec2:RegisterImage",
                    "ec2:RunInstances",
                    "iam:CreateRole",
                    "iam:PassRole",
                    "ssm:DeleteParameter",
                    "ssm:PutParameter",
                    "sts:AssumeRole",
                ],
                resources=["*"],
            )
        ]
    )
