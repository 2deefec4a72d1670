"""Stacks, resources, events and change sets in the form of the API's answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localcloud.services.cloudformation.engine import model
from localcloud.services.cloudformation.engine.drift import Detection, Drifts, ResourceDrift
from localcloud.services.cloudformation.resources import type_of
from localcloud.services.cloudformation.template.checks import transforms
from localcloud.services.cloudformation.template.parameters import Parameter
from localcloud.services.cloudformation.template.parsing import Template


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _parameters(parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    return [
        _given(
            {
                "ParameterKey": name,
                "ParameterValue": "****" if parameter.no_echo else parameter.given,
                "ResolvedValue": parameter.resolved,
            }
        )
        for name, parameter in parameters.items()
    ]


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def stack(stack: model.Stack, drifts: Drifts) -> dict[str, Any]:
    """Return a stack for DescribeStacks and ListStacks."""
    desired = stack.desired
    outputs = [
        _given(
            {"OutputKey": o.key, "OutputValue": o.value, "Description": o.description, "ExportName": o.export}
        )
        for o in stack.outputs
    ]
    return _given(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "ChangeSetId": stack.change_set_id,
            "Description": desired.template.get("Description") if desired else None,
            "TemplateDescription": desired.template.get("Description") if desired else None,
            "Parameters": _parameters(desired.parameters) if desired else [],
            "CreationTime": stack.created,
            "DeletionTime": stack.deleted,
            "LastUpdatedTime": stack.updated,
            "RollbackConfiguration": {},
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DisableRollback": stack.disable_rollback,
            "NotificationARNs": [],
            "Capabilities": list(stack.capabilities),
            "Outputs": outputs,
            "RoleARN": stack.role_arn,
            "Tags": _tags(desired.tags) if desired else [],
            "EnableTerminationProtection": stack.termination_protection,
            "DriftInformation": _given(
                {
                    "StackDriftStatus": drifts.status(stack),
                    "LastCheckTimestamp": max((d.time for d in drifts.of(stack).values()), default=None),
                }
            ),
        }
    )


def event(stack: model.Stack, event: model.Event) -> dict[str, Any]:
    """Return an event for DescribeStackEvents."""
    return _given(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "EventId": event.event_id,
            "OperationId": event.operation_id,
            "LogicalResourceId": event.logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.type,
            "Timestamp": event.time,
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
            "ClientRequestToken": event.token,
        }
    )


def resource(stack: model.Stack, resource: model.Resource, drifts: Drifts) -> dict[str, Any]:
    """Return a resource for DescribeStackResources, DescribeStackResource and ListStackResources."""
    drift = drifts.of(stack).get(resource.logical_id)
    return _given(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "LogicalResourceId": resource.logical_id,
            "PhysicalResourceId": resource.physical_id,
            "ResourceType": resource.type,
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "Timestamp": resource.changed,
            "LastUpdatedTimestamp": resource.changed,
            "DriftInformation": _given(
                {
                    "StackResourceDriftStatus": "NOT_CHECKED" if drift is None else drift.status,
                    "LastCheckTimestamp": None if drift is None else drift.time,
                }
            ),
        }
    )


def detection(detection: Detection, drifts: Drifts) -> dict[str, Any]:
    """Return a detection for DescribeStackDriftDetectionStatus."""
    done = detection.status == "DETECTION_COMPLETE"
    drifted = [d for d in drifts.of(detection.stack).values() if d.status != "IN_SYNC"]
    return _given(
        {
            "StackId": detection.stack.id,
            "StackDriftDetectionId": detection.id,
            "StackDriftStatus": drifts.status(detection.stack) if done else None,
            "DetectionStatus": detection.status,
            "DetectionStatusReason": detection.reason,
            "DriftedStackResourceCount": len(drifted) if done else None,
            "Timestamp": detection.time,
        }
    )


def resource_drift(stack: model.Stack, drift: ResourceDrift) -> dict[str, Any]:
    """Return what was found of a resource, for DescribeStackResourceDrifts."""
    return {
        "StackId": stack.id,
        "LogicalResourceId": drift.resource.logical_id,
        "PhysicalResourceId": drift.resource.physical_id,
        "ResourceType": drift.resource.type,
        "ExpectedProperties": json.dumps(drift.resource.resolved),
        "ActualProperties": json.dumps(drift.actual, default=str),
        "PropertyDifferences": [
            {
                "PropertyPath": difference.path,
                "ExpectedValue": difference.expected,
                "ActualValue": difference.actual,
                "DifferenceType": difference.kind,
            }
            for difference in drift.differences
        ],
        "StackResourceDriftStatus": drift.status,
        "Timestamp": drift.time,
    }


def change_set(change_set: model.ChangeSet) -> dict[str, Any]:
    """Return a change set for DescribeChangeSet and ListChangeSets."""
    return _given(
        {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.id,
            "StackId": change_set.stack.id,
            "StackName": change_set.stack.name,
            "Description": change_set.description,
            "Parameters": _parameters(change_set.desired.parameters),
            "CreationTime": change_set.created,
            "ExecutionStatus": change_set.execution,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "NotificationARNs": [],
            "RollbackConfiguration": {},
            "Capabilities": list(change_set.capabilities),
            "Tags": _tags(change_set.desired.tags),
            "Changes": change_set.changes,
            "OnStackFailure": change_set.on_failure,
        }
    )


def summary(template: Template, region: str) -> dict[str, Any]:
    """Return what GetTemplateSummary says of a template."""
    parameters = [
        _given(
            {
                "ParameterKey": name,
                "DefaultValue": None if "Default" not in slot else str(slot["Default"]),
                "ParameterType": slot.get("Type", "String"),
                "NoEcho": slot.get("NoEcho") in (True, "true"),
                "Description": slot.get("Description"),
                "ParameterConstraints": {"AllowedValues": [str(v) for v in slot.get("AllowedValues", [])]},
            }
        )
        for name, slot in (template.get("Parameters") or {}).items()
    ]
    types = [node["Type"] for node in template["Resources"].values()]
    iam = any(kind.startswith("AWS::IAM::") for kind in types)
    return _given(
        {
            "Parameters": parameters,
            "Description": template.get("Description"),
            "Capabilities": ["CAPABILITY_NAMED_IAM"] if iam else [],
            "ResourceTypes": types,
            "Version": template.get("AWSTemplateFormatVersion"),
            "DeclaredTransforms": transforms(template),
            "ResourceIdentifierSummaries": _identifiers(template, region),
        }
    )


def _identifiers(template: Template, region: str) -> list[dict[str, Any]]:
    """Return by which properties the resources of each type are imported, for types that can be."""
    from localcloud.services.cloudformation.template.properties import (
        identifiers_of,  # a cloud is up sooner than its schemas are read
    )

    by_type: dict[str, list[str]] = {}
    for name, node in template["Resources"].items():
        if type_of(node["Type"]).lookup is not None:
            by_type.setdefault(node["Type"], []).append(name)
    return [
        {
            "ResourceType": kind,
            "LogicalResourceIds": names,
            "ResourceIdentifiers": identifiers_of(kind, region),
        }
        for kind, names in by_type.items()
    ]
