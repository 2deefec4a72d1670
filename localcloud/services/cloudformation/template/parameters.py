"""The values of a template's parameters: given, previous or default.

Those of the Parameter Store looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.template.parsing import Template

SSM_VALUE = "AWS::SSM::Parameter::Value<"


LONGEST_VALUE = 4096  # bytes: "AWS CloudFormation quotas"


class Store(Protocol):
    """Where the values of parameters come from, and what they may name."""

    def value(self, name: str) -> str | None:
        """Return the value of a name in the Parameter Store, or None."""

    def has(self, kind: str, name: str) -> bool:
        """Say whether there is a thing of a parameter type such as ``AWS::EC2::VPC::Id``."""


@dataclass(frozen=True)
class Parameter:
    """``given``: as DescribeStacks shows it.

    ``value``: what Ref returns. ``resolved``: of the Parameter Store, or None.
    """

    given: str
    value: Value
    resolved: str | None = None
    no_echo: bool = False


def effective(
    template: Template,
    given: Iterable[Mapping[str, Any]],
    previous: Mapping[str, Parameter],
    store: Store,
) -> dict[str, Parameter]:
    """Return all parameters' values. Raises CfnError as AWS does."""
    slots: Mapping[str, Mapping[str, Any]] = template.get("Parameters") or {}
    values: dict[str, str] = {name: str(slot["Default"]) for name, slot in slots.items() if "Default" in slot}
    unknown = []
    for item in given:
        name = item["ParameterKey"]
        if name not in slots:
            unknown.append(name)
        elif item.get("UsePreviousValue") not in (None, False, "false"):
            if name in previous:
                values[name] = previous[name].given
        elif "ParameterValue" in item:
            values[name] = str(item["ParameterValue"])
    if unknown:
        raise CfnError(f"Parameters: [{', '.join(sorted(unknown))}] do not exist in the template")
    missing = sorted(slots.keys() - values.keys())
    if missing:
        raise CfnError(f"Parameters: [{', '.join(missing)}] must have values")
    return {name: _parameter(name, slot, values[name], store) for name, slot in slots.items()}


def _parameter(name: str, slot: Mapping[str, Any], given: str, store: Store) -> Parameter:
    kind = str(slot.get("Type", "String"))
    resolved = None
    text = given
    if kind.startswith(SSM_VALUE):
        resolved = store.value(given)
        if resolved is None:
            raise CfnError(f"Unable to fetch parameters [{given}] from parameter store for this account.")
        text, kind = resolved, kind.removeprefix(SSM_VALUE).removesuffix(">")
    _check(name, slot, given)
    _check_there(name, kind, text, store)
    return Parameter(given, _typed(name, kind, text), resolved, no_echo=slot.get("NoEcho") in (True, "true"))


def _check_there(name: str, kind: str, text: str, store: Store) -> None:
    """Check that what a parameter of an AWS-specific type names is there.

    "CloudFormation validates input values for these types against existing values in a user's account"
    ("Supported AWS-specific parameter types", user guide).
    """
    one = kind.removeprefix("List<").removesuffix(">")
    if kind == "AWS::SSM::Parameter::Name":
        if store.value(text) is None:
            raise CfnError(f"Unable to fetch parameters [{text}] from parameter store for this account.")
        return
    if not one.startswith(("AWS::EC2::", "AWS::Route53::")):
        return
    for value in [part.strip() for part in text.split(",")] if kind.startswith("List<") else [text]:
        if not store.has(one, value):
            raise CfnError(
                f"Parameter validation failed: parameter value {value} for parameter name {name} does "
                "not exist"
            )


def _typed(name: str, kind: str, text: str) -> Value:
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [part.strip() for part in text.split(",")] if text else []
    if kind == "Number" and _number(text) is None:
        raise CfnError(f"Parameter '{name}' must be a number.")
    return text


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _check(name: str, slot: Mapping[str, Any], text: str) -> None:
    allowed = slot.get("AllowedValues")
    if allowed is not None and text not in [
        str(value).lower() if isinstance(value, bool) else str(value) for value in allowed
    ]:
        raise CfnError(f"Parameter '{name}' must be one of AllowedValues")
    pattern = slot.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, text):
        raise CfnError(
            slot.get("ConstraintDescription") or f"Parameter '{name}' must match pattern {pattern}"
        )
    if "MinLength" in slot and len(text) < int(slot["MinLength"]):
        raise CfnError(f"Parameter '{name}' must contain at least {slot['MinLength']} characters")
    if "MaxLength" in slot and len(text) > int(slot["MaxLength"]):
        raise CfnError(f"Parameter '{name}' must contain at most {slot['MaxLength']} characters")
    if len(text.encode()) > LONGEST_VALUE:
        raise CfnError(f"Parameter '{name}' must contain at most {LONGEST_VALUE} bytes")
    number = _number(text)
    if number is not None and "MinValue" in slot and number < float(slot["MinValue"]):
        raise CfnError(f"Parameter '{name}' must be a number not less than {slot['MinValue']}")
    if number is not None and "MaxValue" in slot and number > float(slot["MaxValue"]):
        raise CfnError(f"Parameter '{name}' must be a number not greater than {slot['MaxValue']}")
