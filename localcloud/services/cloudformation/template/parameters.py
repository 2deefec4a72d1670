"""The values of a template's parameters: given, previous or default.

Those of the Parameter Store looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.template.parsing import Template

SSM_VALUE = "AWS::SSM::Parameter::Value<"


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
    stored: Callable[[str], str | None],
) -> dict[str, Parameter]:
    """Return all parameters' values; ``stored`` looks a name of the Parameter Store up.

    Raises CfnError as AWS does.
    """
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
    return {name: _parameter(name, slot, values[name], stored) for name, slot in slots.items()}


def _parameter(
    name: str, slot: Mapping[str, Any], given: str, stored: Callable[[str], str | None]
) -> Parameter:
    kind = str(slot.get("Type", "String"))
    resolved = None
    text = given
    if kind.startswith(SSM_VALUE):
        resolved = stored(given)
        if resolved is None:
            raise CfnError(f"Unable to fetch parameters [{given}] from parameter store for this account.")
        text, kind = resolved, kind.removeprefix(SSM_VALUE).removesuffix(">")
    _check(name, slot, given)
    return Parameter(given, _typed(name, kind, text), resolved, no_echo=slot.get("NoEcho") in (True, "true"))


def _typed(name: str, kind: str, text: str) -> Value:
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [part.strip() for part in text.split(",")] if text else []
    if kind == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise CfnError(f"Parameter '{name}' must be a number.")
    return text


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
