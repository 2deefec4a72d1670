"""The resource types that the local cloud's CloudFormation knows, one module for each of AWS's services."""

from __future__ import annotations

from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.resources import (
    autoscaling,
    endpoints,
    iam,
    identity_provider,
    launch_template,
    load_balancing,
    network,
    observability,
    records,
    scaling,
    security_groups,
    storage,
)
from localcloud.services.cloudformation.resources.base import ResourceType

TYPES: dict[str, ResourceType] = {
    name: kind
    for module in (
        autoscaling,
        endpoints,
        iam,
        identity_provider,
        launch_template,
        load_balancing,
        network,
        observability,
        records,
        scaling,
        security_groups,
        storage,
    )
    for name, kind in module.TYPES.items()
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
