"""What the roles of continuous integration may do.

``policies/`` holds the policies of docs/aws.md, which are tested action by action; here they get the stack's own account and partition.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

# The name that `cdk bootstrap` puts into everything that it makes, unless told otherwise.
QUALIFIER = "hnb659fds"


def policy(scope: Construct, name: str) -> iam.PolicyDocument:
    """Return the policy ``name`` of docs/policies for the account of the stack around ``scope``."""
    stack = Stack.of(scope)
    text = (files("ingot.constructs") / "policies" / f"{name}.json").read_text(encoding="utf-8")
    text = text.replace("arn:aws:", f"arn:{stack.partition}:").replace(":ACCOUNT:", f":{stack.account}:")
    content: dict[str, Any] = json.loads(text)
    return iam.PolicyDocument.from_json(content)


def planning(scope: Construct) -> iam.PolicyDocument:
    """Return what `ingot plan --deployed` needs beyond looking: the templates, and which group a logical id is."""
    stack = Stack.of(scope)
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="CompareStacks",
                actions=["cloudformation:DescribeStackResource", "cloudformation:GetTemplate"],
                resources=[f"arn:{stack.partition}:cloudformation:*:{stack.account}:stack/Ingot*/*"],
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
