"""The stacks as they are deployed: their templates, and how many instances their groups run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ingot.aws.session.failures import AwsError, code_of
from ingot.aws.session.stacks import stack_template
from ingot.plan.infrastructure.assembly import Stack

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


def deployed_stacks(clients: Clients, stacks: Mapping[str, Stack]) -> dict[str, Stack]:
    """Return those of ``stacks`` that are deployed in the caller's region, with their deployed templates."""
    found = {}
    for name, stack in stacks.items():
        template = stack_template(clients, stack.name)
        if template is not None:
            found[name] = replace(stack, template=template, assets={})
    return found


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
