"""What the roles of continuous integration may do.

``ingot/policies/`` holds the policies of docs/aws.md, which are tested action by action. Their words in
capitals stand for what each app has of its own; here the app's stacks fill them in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.builder.builder import Builder

# The name that `cdk bootstrap` puts into everything that it makes, unless told otherwise.
QUALIFIER = "hnb659fds"
# How a policy speaks of the app's stacks.
STACKS = "stack/STACKS/*"


def policy(
    scope: Construct, name: str, stacks: Sequence[str], builder: Builder | None = None
) -> iam.PolicyDocument:
    """Return the policy ``name`` of ingot/policies for the account of the stack around ``scope``.

    :param stacks: the names of the app's stacks, each perhaps with a ``*`` for the rest of a name
    :param builder: the builder that the policy speaks of, if it speaks of one
    """
    stack = Stack.of(scope)
    text = (files("ingot") / "policies" / f"{name}.json").read_text(encoding="utf-8")
    words = {"arn:aws:": f"arn:{stack.partition}:", ":ACCOUNT:": f":{stack.account}:"}
    if builder is not None:
        words |= {
            "BUILDER_STACK": Stack.of(builder).stack_name,
            "BUILDER_TEMPLATE": str(builder.launch_template.launch_template_id),
            "BUNDLE_BUCKET": builder.bundles.bucket_name,
        }
    for word, value in words.items():
        text = text.replace(word, value)
    content: dict[str, Any] = json.loads(text)
    for statement in content["Statement"]:
        if str(statement["Resource"]).endswith(STACKS):
            statement["Resource"] = _named(str(statement["Resource"]).removesuffix(STACKS), stacks)
    return iam.PolicyDocument.from_json(content)


def _named(prefix: str, stacks: Sequence[str]) -> list[str]:
    return [f"{prefix}stack/{name}/*" for name in stacks]


def planning(scope: Construct, stacks: Sequence[str]) -> iam.PolicyDocument:
    """Return what `ingot plan --deployed` also needs: the templates, and which group a logical id is."""
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
