"""What deployed stacks say of themselves: their outputs, templates, and how many instances a group has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.session.failures import AwsError, code_of

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


def is_no_stack(error: ClientError) -> bool:
    """Say whether CloudFormation answered that there is no such stack: that has no error code of its own."""
    return code_of(error) == "ValidationError" and "does not exist" in str(error)


def stack_outputs(clients: Clients, stack: str) -> dict[str, str] | None:
    """Return the outputs of a deployed stack; None when there is no such stack."""
    try:
        stacks = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if is_no_stack(error):
            return None
        raise
    return {out["OutputKey"]: out["OutputValue"] for out in stacks[0].get("Outputs", [])} if stacks else None


def stack_status(clients: Clients, stack: str) -> str | None:
    """Return the status of a stack; None when there is no such stack."""
    try:
        stacks = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if is_no_stack(error):
            return None
        raise
    return str(stacks[0]["StackStatus"]) if stacks else None


def stack_template(clients: Clients, stack: str) -> dict[str, Any] | None:
    """Return the template of a deployed stack as it was submitted, before macros; None when there is none.

    There is none without the stack, or while the stack is in REVIEW_IN_PROGRESS.
    """
    try:
        answer = clients.cloudformation.get_template(StackName=stack, TemplateStage="Original")
    except ClientError as error:
        if is_no_stack(error):
            return None
        raise
    # boto3 parses JSON templates itself; the API gives text.
    body: Any = answer.get("TemplateBody") or "{}"
    template: dict[str, Any] = json.loads(body) if isinstance(body, str) else dict(body)
    return template or None


def group_size(clients: Clients, stack: str, logical_id: str) -> int | None:
    """Return how many instances a stack's Auto Scaling group has; None when there is no such group."""
    try:
        resource = clients.cloudformation.describe_stack_resource(
            StackName=stack, LogicalResourceId=logical_id
        )
    except AwsError as error:
        if code_of(error) == "ValidationError":
            return None
        raise
    name = resource["StackResourceDetail"].get("PhysicalResourceId", "")
    groups = clients.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    return len(groups[0]["Instances"]) if groups else None
