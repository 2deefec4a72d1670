"""Intrinsic functions and conditions. Source: "Intrinsic function reference", CloudFormation user guide."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.template.checks import look_up
from localcloud.services.cloudformation.template.parsing import Template
from localcloud.services.cloudformation.template.references import SUB

NO_VALUE = object()  # AWS::NoValue: the property is as if it were not there
ZONES = ("a", "b", "c")


@dataclass(frozen=True)
class Scope:
    """What the functions of one stack's template can see.

    ``names``: pseudo parameters and parameters. ``reference`` and ``attribute`` look resources up and raise
    CfnError. ``imports`` returns an export's value or None, ``output`` that of a stack's output; it raises
    CfnError.
    """

    template: Template
    names: Mapping[str, Value]
    reference: Callable[[str], Value]
    attribute: Callable[[str, str], Value]
    imports: Callable[[str], Value]
    output: Callable[[str, str], Value]

    def value(self, node: Value) -> Value:
        """Return ``node`` with all functions evaluated and all properties without value dropped."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NO_VALUE]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self.names[argument] if argument in self.names else self.reference(argument)
            function = _FUNCTIONS.get(name)
            if function is not None:
                return function(self, argument)
            if name.startswith("Fn::"):
                raise CfnError(f"Template error: the local cloud does not know the function {name}")
        values = {key: self.value(value) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def condition(self, node: Value) -> bool:
        """Evaluate a condition: a name, or a condition function."""
        if isinstance(node, str):
            conditions = self.template.get("Conditions", {})
            if node not in conditions:
                raise CfnError(f"Template error: unresolved condition dependency {node}")
            return self.condition(conditions[node])
        ((name, argument),) = node.items()
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Equals":
            left, right = (self.value(side) for side in argument)
            return bool(_text(left) == _text(right))
        if name == "Fn::Not":
            return not self.condition(argument[0])
        if name == "Fn::And":
            return all(self.condition(part) for part in argument)
        if name == "Fn::Or":
            return any(self.condition(part) for part in argument)
        raise CfnError(f"Template error: {name} is no condition function that the local cloud knows")

    def check_mappings(self, node: Value) -> None:
        """Raise CfnError where a Fn::FindInMap that counts finds nothing; its keys come from parameters."""
        if isinstance(node, list):
            for part in node:
                self.check_mappings(part)
        elif isinstance(node, Mapping):
            for name, argument in node.items():
                if name == "Fn::If":
                    self.check_mappings(argument[1] if self.condition(argument[0]) else argument[2])
                    continue
                self.check_mappings(argument)
                if name == "Fn::FindInMap":
                    _find_in_map(self, argument)

    def present(self, node: Mapping[str, Any]) -> bool:
        """Say whether a resource or an output is there: it is without a condition, or when that is true."""
        return "Condition" not in node or self.condition(node["Condition"])


def _text(value: Value) -> Value:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else str(value)
        if isinstance(value, int | float)
        else value
    )


def _get_att(scope: Scope, argument: Value) -> Value:
    name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
    return scope.attribute(name, scope.value(attribute))


def _if(scope: Scope, argument: Value) -> Value:
    return scope.value(argument[1] if scope.condition(argument[0]) else argument[2])


def _join(scope: Scope, argument: Value) -> Value:
    return str(argument[0]).join(str(_text(part)) for part in scope.value(argument[1]))


def _split(scope: Scope, argument: Value) -> Value:
    return str(scope.value(argument[1])).split(argument[0])


def _select(scope: Scope, argument: Value) -> Value:
    index, values = int(scope.value(argument[0])), scope.value(argument[1])
    if not 0 <= index < len(values):
        raise CfnError("Template error: Fn::Select cannot select nonexistent value at index " + str(index))
    return values[index]


def _sub(scope: Scope, argument: Value) -> Value:
    text, local = (argument, {}) if isinstance(argument, str) else argument

    def replaced(name: str) -> str:
        if name in local:
            return str(_text(scope.value(local[name])))
        node = {"Fn::GetAtt": name} if "." in name and name not in scope.names else {"Ref": name}
        return str(_text(scope.value(node)))

    return SUB.sub(lambda match: replaced(match[1].strip()), text).replace("${!", "${")


def _find_in_map(scope: Scope, argument: Value) -> Value:
    name, first, second = (scope.value(part) for part in argument[:3])
    try:
        return look_up(scope.template.get("Mappings") or {}, name, str(first), str(second))
    except CfnError:
        if len(argument) > 3 and "DefaultValue" in argument[3]:
            return scope.value(argument[3]["DefaultValue"])
        raise


def _base64(scope: Scope, argument: Value) -> Value:
    return base64.b64encode(str(scope.value(argument)).encode()).decode()


def _zones(scope: Scope, argument: Value) -> Value:
    region = scope.value(argument) or scope.names["AWS::Region"]
    return [region + zone for zone in ZONES]


def _cidr(scope: Scope, argument: Value) -> Value:
    block, count, bits = (scope.value(part) for part in (*argument, 8)[:3])
    network = ipaddress.ip_network(block)
    subnets = network.subnets(new_prefix=network.max_prefixlen - int(bits))
    return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]


def _import(scope: Scope, argument: Value) -> Value:
    name = scope.value(argument)
    value = scope.imports(name)
    if value is None:
        raise CfnError(f"No export named {name} found.")
    return value


def _stack_output(scope: Scope, argument: Value) -> Value:
    given = scope.value(argument)
    if given.get("Region", scope.names["AWS::Region"]) != scope.names["AWS::Region"] or "RoleArn" in given:
        raise CfnError(
            "Template error: the local cloud knows Fn::GetStackOutput within one account and region only"
        )
    value = scope.output(given["StackName"], given["OutputName"])
    if value is None:
        raise CfnError(f"Output {given['OutputName']} of stack {given['StackName']} does not exist")
    return value


_FUNCTIONS: dict[str, Callable[[Scope, Value], Value]] = {
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAtt": _get_att,
    "Fn::GetAZs": _zones,
    "Fn::GetStackOutput": _stack_output,
    "Fn::If": _if,
    "Fn::ImportValue": _import,
    "Fn::Join": _join,
    "Fn::Length": lambda scope, argument: len(scope.value(argument)),
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Sub": _sub,
    "Fn::ToJsonString": lambda scope, argument: json.dumps(scope.value(argument)),
}
