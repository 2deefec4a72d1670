"""What CloudFormation refuses when a template is submitted, before anything is made of it.

Sources, CloudFormation user guide: "Template anatomy", "Resource attribute reference", "Intrinsic function
reference", "AWS CloudFormation quotas"; the words are those that ValidateTemplate and CreateStack answer
with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.template.creation_policy import policy_of
from localcloud.services.cloudformation.template.parsing import Template
from localcloud.services.cloudformation.template.references import SUB, needs, references
from localcloud.services.cloudformation.template.rules import check_rules

SECTIONS = frozenset(
    {
        "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings",
        "Conditions", "Transform", "Resources", "Outputs", "Hooks",
    }
)  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "Type", "Properties", "DependsOn", "Condition", "Metadata", "CreationPolicy", "UpdatePolicy",
        "DeletionPolicy", "UpdateReplacePolicy",
    }
)  # fmt: skip
PARAMETER_KEYS = frozenset(
    {
        "Type", "Default", "Description", "NoEcho", "AllowedValues", "AllowedPattern",
        "ConstraintDescription", "MinLength", "MaxLength", "MinValue", "MaxValue",
    }
)  # fmt: skip
# "AWS CloudFormation quotas": of one template, and of the bytes of a description.
MOST = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}
LONGEST_DESCRIPTION = 1024
LONGEST_NAME = 255
NAME = re.compile(r"[A-Za-z0-9]+")

# Types whose deletion can take a snapshot: "DeletionPolicy attribute".
WITH_SNAPSHOTS = frozenset(
    {
        "AWS::DocDB::DBCluster", "AWS::EC2::Volume", "AWS::ElastiCache::CacheCluster",
        "AWS::ElastiCache::ReplicationGroup", "AWS::Neptune::DBCluster", "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance", "AWS::Redshift::Cluster",
    }
)  # fmt: skip
# Types that wait for signals: "CreationPolicy attribute"; a wait of at most twelve hours.
WITH_SIGNALS = frozenset(
    {
        "AWS::AppStream::Fleet", "AWS::AutoScaling::AutoScalingGroup", "AWS::CloudFormation::WaitCondition",
        "AWS::EC2::Instance",
    }
)  # fmt: skip
CREATION_POLICIES = frozenset({"AutoScalingCreationPolicy", "ResourceSignal", "StartFleet"})
LONGEST_WAIT = 43_200  # seconds
POLICIES = {
    "DeletionPolicy": ("Delete", "Retain", "RetainExceptOnCreate", "Snapshot"),
    "UpdateReplacePolicy": ("Delete", "Retain", "Snapshot"),
}

FUNCTIONS = (
    "Fn::Base64", "Fn::GetAtt", "Fn::GetAZs", "Fn::ImportValue", "Fn::Join", "Fn::Split", "Fn::FindInMap",
    "Fn::Select", "Ref", "Fn::Equals", "Fn::If", "Fn::Not", "Condition", "Fn::And", "Fn::Or", "Fn::Sub",
    "Fn::Cidr", "Fn::GetStackOutput",
)  # fmt: skip
# Of the transform AWS::LanguageExtensions.
EXTENSIONS = ("Fn::Length", "Fn::ToJsonString")
LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"
CONDITION_FUNCTIONS = ("Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Condition")

# What a parameter can be, but for AWS::SSM::Parameter::Value<…> of one of them, and lists.
_OF_AWS = (
    "AWS::EC2::AvailabilityZone::Name", "AWS::EC2::Image::Id", "AWS::EC2::Instance::Id",
    "AWS::EC2::KeyPair::KeyName", "AWS::EC2::SecurityGroup::GroupName", "AWS::EC2::SecurityGroup::Id",
    "AWS::EC2::Subnet::Id", "AWS::EC2::Volume::Id", "AWS::EC2::VPC::Id", "AWS::Route53::HostedZone::Id",
)  # fmt: skip
_PLAIN = {
    "String",
    "Number",
    "CommaDelimitedList",
    "List<Number>",
    "List<String>",
    "AWS::SSM::Parameter::Name",
}
_VALUES = {*_OF_AWS, *(f"List<{kind}>" for kind in _OF_AWS)}
TYPES = frozenset(
    {
        *_PLAIN,
        *_VALUES,
        *(f"AWS::SSM::Parameter::Value<{kind}>" for kind in {*_VALUES, *_PLAIN} - {"Number", "List<Number>"}),
    }
)


def check_template(template: Template, region: str, known_type: Callable[[str], bool]) -> None:
    """Raise CfnError for the first thing that CloudFormation refuses at once.

    ``known_type`` says whether there is a resource type of that name.
    """
    _check_sections(template)
    _check_transforms(template)
    _check_parameters(template)
    check_rules(template)
    _check_resources(template, known_type)
    _check_outputs(template)
    _check_functions(template)
    _check_names(template)
    _check_attributes(template, region)


def transforms(template: Template) -> list[str]:
    """Return the names of the template's transforms (macros)."""
    given = template.get("Transform") or []
    listed = given if isinstance(given, list) else [given]
    return [str(item.get("Name")) if isinstance(item, Mapping) else str(item) for item in listed]


def _check_sections(template: Template) -> None:
    unknown = sorted(template.keys() - SECTIONS)
    if unknown:
        raise CfnError(f"Invalid template property or properties [{', '.join(unknown)}]")
    description = template.get("Description")
    if description is not None and not isinstance(description, str):
        raise CfnError("Template format error: Description must be a string")
    if description and len(description.encode()) > LONGEST_DESCRIPTION:
        raise CfnError(f"Template format error: 'Description' length is greater than {LONGEST_DESCRIPTION}.")
    version = template.get("AWSTemplateFormatVersion", "2010-09-09")
    if str(version) != "2010-09-09":
        raise CfnError("Template format error: unsupported value for AWSTemplateFormatVersion.")
    for section, most in MOST.items():
        entries = template.get(section) or {}
        if not isinstance(entries, Mapping):
            raise CfnError(f"Template format error: {section} section is not a map.")
        if len(entries) > most:
            raise CfnError(
                f"Template format error: Number of {section.lower()}, {len(entries)}, is greater than "
                "maximum "
                f"allowed, {most}"
            )


def _check_transforms(template: Template) -> None:
    for name in transforms(template):
        if name != LANGUAGE_EXTENSIONS:
            raise CfnError(f"No transform named {name} found.")


def _alphanumeric(kind: str, names: Iterable[Any]) -> None:
    for name in names:
        if not NAME.fullmatch(str(name)):
            raise CfnError(f"Template format error: {kind} name {name} is non alphanumeric.")
        if len(name) > LONGEST_NAME:
            raise CfnError(
                f"Template format error: {kind} name {name} is longer than {LONGEST_NAME} characters."
            )


def _check_parameters(template: Template) -> None:
    slots = template.get("Parameters") or {}
    _alphanumeric("Parameter", slots)
    for name, slot in slots.items():
        if not isinstance(slot, Mapping) or not isinstance(slot.get("Type"), str):
            raise CfnError("Template format error: Every Parameters object must contain a Type member.")
        if slot["Type"] not in TYPES:
            raise CfnError(f"Template format error: Unrecognized parameter type: {slot['Type']}")
        for key in sorted(slot.keys() - PARAMETER_KEYS):
            raise CfnError(f"Invalid template parameter property '{key}'")
        if "Default" in slot and isinstance(slot["Default"], list | Mapping):
            raise CfnError(
                f"Template format error: Every Default member must be a string. (parameter {name})"
            )


def _check_resources(template: Template, known_type: Callable[[str], bool]) -> None:
    resources = template["Resources"]
    _alphanumeric("Resource", resources)
    for name, node in resources.items():
        for key in sorted(node.keys() - ATTRIBUTES):
            raise CfnError(f"Invalid template resource property '{key}'")
        if not isinstance(node.get("Properties") or {}, Mapping):
            raise CfnError("Template format error: [/Resources/" + name + "] Properties must be an object.")
        for attribute, allowed in POLICIES.items():
            policy = node.get(attribute, "Delete")
            if policy not in allowed:
                raise CfnError(
                    f"Template error: every {attribute} member must be one of {', '.join(allowed)} "
                    f"(resource {name} has {policy})"
                )
            if policy == "Snapshot" and node["Type"] not in WITH_SNAPSHOTS:
                what = "deletion" if attribute == "DeletionPolicy" else "update replace"
                raise CfnError(
                    f"Template error: resource type {node['Type']} does not support {what} policy Snapshot"
                )
        if "CreationPolicy" in node:
            _check_creation_policy(name, node)
    unknown = sorted({node["Type"] for node in resources.values() if not known_type(node["Type"])})
    if unknown:
        raise CfnError(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")


def _check_creation_policy(name: str, node: Mapping[str, Any]) -> None:
    policy = node["CreationPolicy"]
    if node["Type"] not in WITH_SIGNALS:
        raise CfnError(f"CreationPolicy is not supported for resource {name} of type {node['Type']}")
    if not isinstance(policy, Mapping) or not policy.keys() <= CREATION_POLICIES:
        raise CfnError(f"Invalid CreationPolicy of resource {name}: {policy}")
    if isinstance(policy.get("ResourceSignal") or {}, Mapping) and not _has_function(policy):
        given = policy_of(policy)
        if given is not None and given.seconds > LONGEST_WAIT:
            raise CfnError(f"Invalid CreationPolicy of resource {name}: the Timeout is longer than 12 hours")


def _has_function(node: Value) -> bool:
    return next(_calls(node), None) is not None


def _check_outputs(template: Template) -> None:
    outputs = template.get("Outputs") or {}
    _alphanumeric("Output", outputs)
    for name, node in outputs.items():
        if not isinstance(node, Mapping) or "Value" not in node:
            raise CfnError(
                f"Template format error: Output {name} is malformed. Every Outputs member must contain a "
                "Value "
                "object"
            )
        if "Export" in node and (not isinstance(node["Export"], Mapping) or "Name" not in node["Export"]):
            raise CfnError(f"Template format error: Output {name} is malformed. Export must contain a Name")


# -- functions


def _parts(template: Template) -> Iterator[tuple[str, Value]]:
    """Yield what may hold functions, with the section's name."""
    for node in template["Resources"].values():
        for attribute in ("Properties", "UpdatePolicy", "CreationPolicy"):
            yield "Resources", node.get(attribute)
    for node in (template.get("Outputs") or {}).values():
        yield "Outputs", [node["Value"], (node.get("Export") or {}).get("Name")]
    for node in (template.get("Conditions") or {}).values():
        yield "Conditions", node


def _calls(node: Value) -> Iterator[tuple[str, Value]]:
    """Yield every function below ``node`` with its argument."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if str(key).startswith("Fn::") or (key in ("Ref", "Condition") and len(node) == 1):
                yield key, value
            yield from _calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from _calls(value)


def _check_functions(template: Template) -> None:
    allowed = FUNCTIONS + (EXTENSIONS if LANGUAGE_EXTENSIONS in transforms(template) else ())
    mappings, conditions = template.get("Mappings") or {}, template.get("Conditions") or {}
    for section, part in _parts(template):
        for name, argument in _calls(part):
            if name == "Fn::Transform":
                given = argument.get("Name") if isinstance(argument, Mapping) else argument
                raise CfnError(f"No transform named {given} found.")
            if name not in allowed:
                raise CfnError(
                    f"Template error: Encountered unsupported function: {name} Supported functions are: "
                    f"[{', '.join(allowed)}]"
                )
            if name == "Fn::If":
                _check_if(argument, conditions, section)
            if name == "Fn::FindInMap":
                _check_find(argument, mappings, extended=LANGUAGE_EXTENSIONS in transforms(template))
            if name == "Condition" and section == "Conditions":
                _check_condition(argument, conditions, section)
    for section in ("Resources", "Outputs"):
        for node in (template.get(section) or {}).values():
            if "Condition" in node:
                _check_condition(node["Condition"], conditions, section)
    _check_circles(conditions)


def _check_if(argument: Value, conditions: Mapping[str, Any], section: str) -> None:
    if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):
        raise CfnError(
            "Template error: Fn::If requires a list argument with the first element being a condition"
        )
    _check_condition(argument[0], conditions, section)


def _check_condition(name: Value, conditions: Mapping[str, Any], section: str) -> None:
    if not isinstance(name, str) or name not in conditions:
        raise CfnError(
            f"Template format error: Unresolved condition dependency {name} in the {section} block of "
            "the template"
        )


def _check_circles(conditions: Mapping[str, Any]) -> None:
    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise CfnError(
                f"Template format error: Circular dependency between conditions: [{', '.join(path)}]"
            )
        for function, argument in _calls(conditions[name]):
            if function == "Condition":
                visit(argument, (*path, name))

    for name, node in conditions.items():
        if not isinstance(node, Mapping) or len(node) != 1 or not node.keys() <= set(CONDITION_FUNCTIONS):
            raise CfnError(
                "Template format error: Conditions can only be boolean operations on parameters and other "
                f"conditions (condition {name})"
            )
        visit(name, ())


def _check_find(argument: Value, mappings: Mapping[str, Any], *, extended: bool) -> None:
    if not isinstance(argument, list) or len(argument) not in ((3, 4) if extended else (3,)):
        raise CfnError(
            "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and "
            "the attribute for return value"
        )
    name = argument[0]
    if isinstance(name, str) and name not in mappings:
        raise CfnError(
            f"Template error: Mapping named '{name}' is not present in the 'Mappings' section of template."
        )
    keys = argument[1:3]
    if isinstance(name, str) and len(argument) == 3 and all(isinstance(key, str) for key in keys):
        look_up(mappings, name, *keys)


def look_up(mappings: Mapping[str, Any], name: str, first: str, second: str) -> Value:
    """Return a mapping's value; raises CfnError in AWS's words when there is none."""
    try:
        return mappings[name][first][second]
    except (KeyError, TypeError) as error:
        raise CfnError(f"Template error: Unable to get mapping for {name}::{first}::{second}") from error


# -- names


def _check_names(template: Template) -> None:
    resources, parameters = template["Resources"], template.get("Parameters") or {}

    def missing(found: Iterable[str], known: Iterable[str]) -> str:
        known = set(known)
        return ", ".join(sorted({n for n in found if n not in known and not n.startswith("AWS::")}))

    for node in resources.values():
        depends = node.get("DependsOn") or []
        listed = [depends] if isinstance(depends, str) else depends
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise CfnError("Template format error: DependsOn must be a string or list of strings.")
        if unresolved := missing(listed, resources):
            raise _unresolved(unresolved, "Resources")
    needed = [name for node in resources.values() for name in needs(node)]
    if unresolved := missing(needed, [*resources, *parameters]):
        raise _unresolved(unresolved, "Resources")
    outputs = [part for section, part in _parts(template) if section == "Outputs"]
    if unresolved := missing(references(outputs), [*resources, *parameters]):
        raise _unresolved(unresolved, "Outputs")
    conditions = list((template.get("Conditions") or {}).values())
    if unresolved := missing(references(conditions), parameters):
        raise CfnError(
            f"Template format error: Unresolved dependencies [{unresolved}]. Cannot reference resources "
            "in the "
            "Conditions block of the template"
        )


def _unresolved(names: str, section: str) -> CfnError:
    return CfnError(
        f"Template format error: Unresolved resource dependencies [{names}] in the {section} block of "
        "the template"
    )


def _check_attributes(template: Template, region: str) -> None:
    """Check each Fn::GetAtt, and each ``${Name.Attribute}``, against the schema of the resource's type."""
    resources = template["Resources"]
    for _, part in _parts(template):
        for name, attribute in _attributes(part):
            if name not in resources:
                continue
            kind = resources[name]["Type"]
            from localcloud.services.cloudformation.template.properties import (
                attributes_of,  # a cloud is up sooner than its schemas are read
            )

            if not attributes_of(kind, region).has(attribute):
                raise CfnError(
                    f"Template error: resource {name} does not support attribute type {attribute} in "
                    "Fn::GetAtt"
                )


def _attributes(part: Value) -> Iterator[tuple[str, str]]:
    for function, argument in _calls(part):
        if function == "Fn::GetAtt":
            pair = argument.split(".", 1) if isinstance(argument, str) else argument
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                raise CfnError(
                    "Template error: every Fn::GetAtt object requires two non-empty parameters, the "
                    "resource name "
                    "and the resource attribute"
                )
            if isinstance(pair[1], str):
                yield pair[0], pair[1]
        elif function == "Fn::Sub":
            text, local = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
            for name in SUB.findall(text):
                if "." in name and name not in local:
                    logical_id, attribute = name.strip().split(".", 1)
                    yield logical_id, attribute
