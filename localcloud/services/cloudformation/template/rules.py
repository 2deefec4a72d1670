"""The section Rules: assertions about the parameters, before anything is created or updated.

Sources: "Rules section" and "Rule-specific intrinsic functions", CloudFormation template reference. A rule
may look at parameters alone. ``Fn::RefAll`` and ``Fn::ValueOfAll`` are refused: the local cloud does not know
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.template.parameters import Parameter
from localcloud.services.cloudformation.template.parsing import Template

KEYS = frozenset({"RuleCondition", "Assertions"})
ASSERTION_KEYS = frozenset({"Assert", "AssertDescription"})
# How many arguments a function takes; None: two to ten conditions, as in Conditions.
ARGUMENTS = {
    "Fn::Contains": 2, "Fn::EachMemberEquals": 2, "Fn::EachMemberIn": 2, "Fn::Equals": 2, "Fn::ValueOf": 2,
    "Fn::Not": 1, "Fn::And": None, "Fn::Or": None,
}  # fmt: skip
LACKING = ("Fn::RefAll", "Fn::ValueOfAll")


class Facts(Protocol):
    """What is known of the things that parameters name."""

    def fact(self, kind: str, name: str, attribute: str) -> str | None:
        """Return an attribute of a thing of a parameter type such as ``AWS::EC2::Subnet::Id``."""


def check_rules(template: Template) -> None:
    """Raise CfnError for a rule that is none; parameters have no values yet."""
    rules = template.get("Rules") or {}
    parameters = template.get("Parameters") or {}
    if not isinstance(rules, Mapping):
        raise CfnError("Template format error: Rules section is not a map.")
    for name, rule in rules.items():
        if not isinstance(rule, Mapping) or not isinstance(rule.get("Assertions"), list):
            raise CfnError(f"Template format error: Rule {name} must contain a list of Assertions.")
        for key in sorted(rule.keys() - KEYS):
            raise CfnError(f"Template format error: Invalid key '{key}' in rule {name}")
        for assertion in rule["Assertions"]:
            if not isinstance(assertion, Mapping) or "Assert" not in assertion:
                raise CfnError(f"Template format error: Every assertion of rule {name} must have an Assert.")
            for key in sorted(assertion.keys() - ASSERTION_KEYS):
                raise CfnError(f"Template format error: Invalid key '{key}' in an assertion of rule {name}")
            _check(assertion["Assert"], name, parameters)
        _check(rule.get("RuleCondition"), name, parameters)


def _check(node: Value, rule: str, parameters: Mapping[str, Any]) -> None:
    if isinstance(node, list):
        for part in node:
            _check(part, rule, parameters)
    if not isinstance(node, Mapping):
        return
    for function, argument in node.items():
        if function == "Ref":
            if argument not in parameters and not str(argument).startswith("AWS::"):
                raise CfnError(
                    f"Template format error: Unresolved dependencies [{argument}]. Cannot reference "
                    "resources in the Rules block of the template"
                )
        elif function in LACKING:
            raise CfnError(f"Template error: the local cloud does not know the function {function}")
        elif function not in ARGUMENTS:
            raise CfnError(
                f"Template error: Encountered unsupported function: {function} in rule {rule}. Supported "
                f"functions are: [{', '.join(['Ref', *ARGUMENTS, *LACKING])}]"
            )
        else:
            wanted = ARGUMENTS[function]
            given = len(argument) if isinstance(argument, list) else 0
            if given != wanted and not (wanted is None and 2 <= given <= 10):
                raise CfnError(
                    f"Template error: {function} in rule {rule} requires a list of "
                    f"{wanted or '2 to 10'} arguments"
                )
            if function == "Fn::ValueOf" and argument[0] not in parameters:
                raise CfnError(f"Template error: {argument[0]} in rule {rule} is no parameter")
            _check(argument, rule, parameters)


def assert_rules(
    template: Template, values: Mapping[str, Parameter], names: Mapping[str, Value], facts: Facts
) -> None:
    """Raise CfnError for the first assertion that does not hold.

    ``names``: the values of pseudo parameters.
    """
    kinds = {name: str(slot["Type"]) for name, slot in (template.get("Parameters") or {}).items()}
    evaluation = _Evaluation(kinds, {**names, **{name: p.value for name, p in values.items()}}, facts)
    for name, rule in (template.get("Rules") or {}).items():
        if "RuleCondition" in rule and not evaluation.holds(rule["RuleCondition"]):
            continue
        for assertion in rule["Assertions"]:
            if not evaluation.holds(assertion["Assert"]):
                said = assertion.get("AssertDescription", "the assertion is false")
                raise CfnError(f"Template validation error: Rule {name}: {said}")


class _Evaluation:
    def __init__(self, kinds: Mapping[str, str], names: Mapping[str, Value], facts: Facts) -> None:
        self._kinds = kinds
        self._names = names
        self._facts = facts

    def holds(self, node: Value) -> bool:
        """Return the value of a condition or an assertion, which must be one of the functions."""
        value = self.value(node)
        if not isinstance(value, bool):
            raise CfnError("Template error: a condition of the Rules section must be true or false")
        return value

    def value(self, node: Value) -> Value:
        if isinstance(node, list):
            return [self.value(part) for part in node]
        if not isinstance(node, Mapping):
            return node
        ((function, argument),) = node.items()
        if function == "Ref":
            return self._names[argument]
        if function == "Fn::ValueOf":
            return self._attribute(*argument)
        return _FUNCTIONS[function](self, argument)

    def _attribute(self, parameter: str, attribute: str) -> Value:
        kind = self._kinds[parameter].removeprefix("List<").removesuffix(">")
        given = self._names[parameter]
        found = [
            self._facts.fact(kind, name, attribute)
            for name in (given if isinstance(given, list) else [given])
        ]
        if None in found:
            raise CfnError(f"Template error: Unable to get attribute {attribute} of parameter {parameter}")
        return found if isinstance(given, list) else found[0]

    def texts(self, node: Value) -> list[str]:
        value = self.value(node)
        return [_text(part) for part in (value if isinstance(value, list) else [value])]


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _contains(evaluation: _Evaluation, argument: Value) -> bool:
    among, [one] = evaluation.texts(argument[0]), evaluation.texts(argument[1])
    return one in among


def _equals(evaluation: _Evaluation, argument: Value) -> bool:
    return evaluation.texts(argument[0]) == evaluation.texts(argument[1])


def _each_equals(evaluation: _Evaluation, argument: Value) -> bool:
    members, [one] = evaluation.texts(argument[0]), evaluation.texts(argument[1])
    return all(member == one for member in members)


def _each_in(evaluation: _Evaluation, argument: Value) -> bool:
    return set(evaluation.texts(argument[0])) <= set(evaluation.texts(argument[1]))


_FUNCTIONS: dict[str, Callable[[_Evaluation, Value], bool]] = {
    "Fn::And": lambda evaluation, argument: all(evaluation.holds(part) for part in argument),
    "Fn::Contains": _contains,
    "Fn::EachMemberEquals": _each_equals,
    "Fn::EachMemberIn": _each_in,
    "Fn::Equals": _equals,
    "Fn::Not": lambda evaluation, argument: not evaluation.holds(argument[0]),
    "Fn::Or": lambda evaluation, argument: any(evaluation.holds(part) for part in argument),
}
