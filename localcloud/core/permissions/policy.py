"""IAM's decision on one request: policies as documents, and whether they allow an action on a resource.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements". Identity policies only:
nothing here judges organizations, boundaries or sessions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Values = tuple[str, ...]


@dataclass(frozen=True)
class Access:
    """An action on one resource. ``resource``: an ARN, or ``*`` where the action takes none.

    ``context``: the condition keys of the request, in lower case; what is absent there is absent in the
    request.
    """

    action: str
    resource: str = "*"
    context: Mapping[str, Values] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on resource: {self.resource}"


def allowed(policies: Iterable[Mapping[str, Any]], access: Access) -> bool:
    """Say whether the policies allow an access: one statement must, and none may deny."""
    permitted = False
    for policy in policies:
        for statement in _listed(policy.get("Statement", [])):
            if _applies(statement, access):
                if statement["Effect"] == "Deny":
                    return False
                permitted = True
    return permitted


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, list) else [value]


def _applies(statement: Mapping[str, Any], access: Access) -> bool:
    if "NotAction" in statement:
        concerned = not _any(statement["NotAction"], access.action, ignore_case=True)
    else:
        concerned = _any(statement["Action"], access.action, ignore_case=True)
    if "NotResource" in statement:
        covered = not _any(statement["NotResource"], access.resource)
    else:
        covered = _any(statement.get("Resource", []), access.resource)
    return concerned and covered and _conditions_hold(statement.get("Condition") or {}, access.context)


def _any(patterns: object, value: str, *, ignore_case: bool = False) -> bool:
    return any(_pattern(str(pattern), ignore_case).fullmatch(value) for pattern in _listed(patterns))


@lru_cache(maxsize=4096)
def _pattern(text: str, ignore_case: bool) -> re.Pattern[str]:
    """``*`` is any text and ``?`` any character."""
    parts = [{"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", text)]
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL)


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, Values]) -> bool:
    return all(
        _holds(operator, context.get(key.lower()), [str(value) for value in _listed(expected)])
        for operator, tests in conditions.items()
        for key, expected in tests.items()
    )


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda found, expected: compare(float(found), float(expected))


# How one value of the request is compared with one value of the policy.
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda found, expected: found == expected,
    "StringEqualsIgnoreCase": lambda found, expected: found.lower() == expected.lower(),
    "StringLike": lambda found, expected: bool(_pattern(expected, False).fullmatch(found)),
    "ArnEquals": lambda found, expected: bool(_pattern(expected, False).fullmatch(found)),
    "ArnLike": lambda found, expected: bool(_pattern(expected, False).fullmatch(found)),
    "Bool": lambda found, expected: found.lower() == expected.lower(),
    "NumericEquals": _number(lambda found, expected: found == expected),
    "NumericLessThan": _number(lambda found, expected: found < expected),
    "NumericLessThanEquals": _number(lambda found, expected: found <= expected),
    "NumericGreaterThan": _number(lambda found, expected: found > expected),
    "NumericGreaterThanEquals": _number(lambda found, expected: found >= expected),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def _holds(operator: str, found: Values | None, expected: list[str]) -> bool:
    """Evaluate one line of a condition; raises ValueError for an operator that is not known here."""
    scope, _, name = operator.rpartition(":")
    if name == "Null":
        return (found is None) == (expected[0].lower() == "true")
    bare = name.removesuffix("IfExists")
    positive = NEGATED.get(bare, bare)
    if positive not in COMPARISONS or scope not in ("", "ForAllValues", "ForAnyValue"):
        raise ValueError(f"the condition operator {operator} is not known to the local cloud")
    if found is None:
        return bare != name or bare in NEGATED or scope == "ForAllValues"
    compare = COMPARISONS[positive]
    matches = [any(compare(value, one) for one in expected) for value in found]
    results = [not match for match in matches] if bare in NEGATED else matches
    return any(results) if scope == "ForAnyValue" else all(results)
