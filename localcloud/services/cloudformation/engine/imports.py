"""Change sets of type IMPORT: resources that exist become part of a stack.

Source: "Import AWS resources into a CloudFormation stack", CloudFormation user guide. Of the types of the
local cloud, those can be imported that it can look up; the others are refused as a type that does not support
imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from localcloud.services.cloudformation.engine.model import Desired, Stack
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.resources import type_of


def identifiers(given: Iterable[Mapping[str, Any]], region: str) -> dict[str, str]:
    """Return the physical ids that ResourcesToImport names, by logical id; raises CfnError."""
    from localcloud.services.cloudformation.template.properties import (
        identifiers_of,  # a cloud is up sooner than its schemas are read
    )

    found: dict[str, str] = {}
    for item in given:
        name, kind, identifier = (
            item.get("LogicalResourceId", ""),
            item.get("ResourceType", ""),
            item.get("ResourceIdentifier") or {},
        )
        if type_of(kind).lookup is None:
            raise CfnError(f"ResourceTypes [{kind}] are not supported for Import")
        keys = identifiers_of(kind, region)
        if set(identifier) != set(keys) or len(keys) != 1:
            raise CfnError(
                f"Invalid property for ResourceIdentifier for resource {name}. Expected [{', '.join(keys)}]"
            )
        found[name] = str(identifier[keys[0]])
    return found


def check(stack: Stack, wanted: Desired, imported: Mapping[str, str], stacks: Iterable[Stack]) -> None:
    """Raise CfnError unless the change set imports resources and does nothing else."""
    nodes = wanted.template["Resources"]
    if not imported:
        raise CfnError("You must specify ResourcesToImport for a change set of type IMPORT")
    absent = sorted(imported.keys() - nodes.keys())
    if absent:
        raise CfnError(f"Resources [{', '.join(absent)}] to import are not in the template")
    present = sorted(imported.keys() & stack.resources.keys())
    if present:
        raise CfnError(f"Resources [{', '.join(present)}] already exist in the stack and cannot be imported")
    loose = sorted(name for name in imported if "DeletionPolicy" not in nodes[name])
    if loose:
        raise CfnError(
            f"Resources [{', '.join(loose)}] is missing DeletionPolicy attribute. All resources to "
            "import must have "
            "a DeletionPolicy attribute"
        )
    new = nodes.keys() - stack.resources.keys() - imported.keys()
    changed = {n for n, r in stack.resources.items() if n not in nodes or r.node != nodes[n]}
    before = (stack.desired.template.get("Outputs") if stack.desired is not None else None) or {}
    outputs = wanted.template.get("Outputs") or {}
    other = sorted([*new, *changed, *(name for name in outputs if before.get(name) != outputs[name])])
    if other:
        raise CfnError(f"As part of the import operation, you cannot modify or add [{', '.join(other)}]")
    for owner in stacks:
        for name, identifier in imported.items():
            for resource in owner.resources.values():
                if (resource.type, resource.physical_id) == (nodes[name]["Type"], identifier):
                    raise CfnError(f"Resource {identifier} already exists in stack {owner.id}")


def changes(wanted: Desired, imported: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the change set does, in the form of DescribeChangeSet."""
    return [
        {
            "Type": "Resource",
            "ResourceChange": {
                "Action": "Import",
                "LogicalResourceId": name,
                "PhysicalResourceId": identifier,
                "ResourceType": wanted.template["Resources"][name]["Type"],
                "Scope": [],
                "Details": [],
            },
        }
        for name, identifier in imported.items()
    ]
