"""What a change set would do to each resource. Source: DescribeChangeSet, ResourceChange, API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.services.cloudformation.engine.model import Desired, Stack
from localcloud.services.cloudformation.resources import type_of
from localcloud.services.cloudformation.resources.base import changed_keys
from localcloud.services.cloudformation.template.functions import Scope
from localcloud.services.cloudformation.template.references import in_order, references


def changes(stack: Stack, desired: Desired, scope: Scope) -> list[dict[str, Any]]:
    """Return the changes in AWS's form: what is added, modified (and whether by replacement) and removed."""
    nodes = {name: node for name, node in desired.template["Resources"].items() if scope.present(node)}
    found = []
    for name, resource in stack.resources.items():
        if name not in nodes:
            change = _change("Remove", name, resource.type, resource.physical_id)
            # The policy that counts is the template's that is given, where the resource is still in it.
            node = desired.template["Resources"].get(name, resource.node)
            change["ResourceChange"]["PolicyAction"] = _policy(node.get("DeletionPolicy"))
            found.append(change)
    changed_names = _changed_parameters(stack, desired)
    for name in in_order(nodes):
        node = nodes[name]
        if name not in stack.resources:
            found.append(_change("Add", name, node["Type"]))
            changed_names.add(name)
            continue
        keys = _changed_properties(stack.resources[name].node, node, changed_names)
        if not keys:
            continue
        changed_names.add(name)
        before, after = (dict.fromkeys(keys, version) for version in (0, 1))
        replaced = stack.resources[name].type != node["Type"] or type_of(node["Type"]).replacement(
            before, after
        )
        change = _change("Modify", name, node["Type"], stack.resources[name].physical_id)
        change["ResourceChange"] |= {
            "Replacement": "True" if replaced else "False",
            "Scope": ["Properties"],
            "Details": [
                {
                    "Target": {
                        "Attribute": "Properties",
                        "Name": key,
                        "RequiresRecreation": "Always" if replaced else "Never",
                    },
                    "Evaluation": "Static",
                    "ChangeSource": "DirectModification",
                }
                for key in sorted(keys)
            ],
        }
        if replaced:
            policy = _policy(stack.resources[name].node.get("UpdateReplacePolicy"))
            change["ResourceChange"]["PolicyAction"] = f"ReplaceAnd{policy}"
        found.append(change)
    return found


def _policy(given: str | None) -> str:
    """Return what happens to the old resource; "PolicyAction" of ResourceChange, API reference."""
    return "Retain" if str(given).startswith("Retain") else "Snapshot" if given == "Snapshot" else "Delete"


def _changed_parameters(stack: Stack, desired: Desired) -> set[str]:
    before = stack.desired.parameters if stack.desired is not None else {}
    return {name for name, parameter in desired.parameters.items() if before.get(name) != parameter}


def _changed_properties(old: Mapping[str, Any], new: Mapping[str, Any], changed_names: set[str]) -> set[str]:
    """Return the properties that differ as written, or that refer to something that changes."""
    before, after = old.get("Properties") or {}, new.get("Properties") or {}
    return changed_keys(before, after) | {
        key for key, value in after.items() if changed_names.intersection(references(value))
    }


def _change(action: str, name: str, kind: str, physical_id: str | None = None) -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": name, "ResourceType": kind, "Scope": [], "Details": []}
    if physical_id is not None:
        change["PhysicalResourceId"] = physical_id
    return {"Type": "Resource", "ResourceChange": change}
