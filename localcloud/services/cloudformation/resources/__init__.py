"""The resource types that the local cloud's CloudFormation knows, one module for each of AWS's services."""

from __future__ import annotations

from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.resources import (
    autoscaling,
    iam,
    load_balancing,
    observability,
    secrets_manager,
    storage,
)
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
)
from localcloud.services.cloudformation.resources.ec2 import (
    endpoints,
    instances,
    launch_templates,
    network,
    security_groups,
)


def _create_record(env: Env, properties: Properties) -> Created:
    name = env.name()
    return Created(name, {"Arn": f"arn:aws:cloudformation:{env.region}:{env.context.account}:record/{name}"})


def _update_record(env: Env, physical_id: str, old: Properties, new: Properties) -> Attributes:
    return {"Arn": f"arn:aws:cloudformation:{env.region}:{env.context.account}:record/{physical_id}"}


def _create_wait(env: Env, properties: Properties) -> Created:
    """Make a wait condition, which waits for the signals of its creation policy.

    The older kind, with a handle, waits for requests to an address of S3 that the local cloud does not have.
    """
    if "Handle" in properties or not env.creation_policy:
        raise ResourceFailure(
            "The local cloud supports wait conditions with a CreationPolicy, and none with a Handle"
        )
    return Created(f"{env.stack_id}/{env.logical_id}", {"Data": "{}"})


# A type that is recorded and nothing more: what it does on AWS has no effect here.
RECORD = ResourceType(_create_record, _update_record)

TYPES: dict[str, ResourceType] = {
    name: kind
    for module in (
        network,
        security_groups,
        endpoints,
        launch_templates,
        instances,
        autoscaling,
        iam,
        load_balancing,
        observability,
        secrets_manager,
        storage,
    )
    for name, kind in module.TYPES.items()
} | {
    "AWS::CDK::Metadata": RECORD,
    "AWS::CloudFormation::WaitConditionHandle": RECORD,
    "AWS::CloudFormation::WaitCondition": ResourceType(_create_wait),
}


def known_type(name: str) -> bool:
    """Say whether templates may use a type."""
    return name in TYPES


def type_of(name: str) -> ResourceType:
    """Return what to do for a type; raises CfnError for one that is not known."""
    if name not in TYPES:
        raise CfnError(f"Template format error: Unrecognized resource types: [{name}]")
    return TYPES[name]


__all__ = ["TYPES", "ResourceType", "known_type", "type_of"]
