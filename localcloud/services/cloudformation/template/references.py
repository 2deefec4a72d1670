"""Which resources need which, and references to values outside of the template."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure

SUB = re.compile(r"\$\{([^!}][^}]*)\}")
DYNAMIC = re.compile(r"\{\{resolve:([a-z-]+):([^{}]*)\}\}")


def references(node: Value) -> Iterator[str]:
    """Yield every name that a part of a template refers to: by Ref, GetAtt or Sub."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                yield value
            elif key == "Fn::GetAtt":
                yield value.split(".")[0] if isinstance(value, str) else value[0]
                yield from references(value)
            elif key == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                local = {} if isinstance(value, str) else value[1]
                yield from (name.split(".")[0] for name in SUB.findall(text) if name not in local)
                yield from references(local)
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def needs(resource: Mapping[str, Any]) -> set[str]:
    """Return the names that a resource must wait for."""
    depends = resource.get("DependsOn") or []
    found = {depends} if isinstance(depends, str) else set(depends)
    for part in ("Properties", "UpdatePolicy", "CreationPolicy"):
        found.update(references(resource.get(part)))
    return found


def in_order(resources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the resources' names so that each comes after those that it needs.

    Raises CfnError for a circle.
    """
    order: list[str] = []
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            circle = ", ".join(sorted(path[path.index(name) :]))
            raise CfnError(f"Circular dependency between resources: [{circle}]")
        path.append(name)
        for needed in sorted(needs(resources[name]) & resources.keys()):
            visit(needed)
        path.pop()
        done.add(name)
        order.append(name)

    for name in resources:
        visit(name)
    return order


# What looks a reference up, by service: ``ssm`` and ``secretsmanager``. It raises ResourceFailure.
Lookups = Mapping[str, Callable[[str], str]]


def resolve_dynamic(node: Value, lookups: Lookups) -> Value:
    """Return ``node`` with each ``{{resolve:SERVICE:REFERENCE}}`` replaced.

    Source: "Get values stored in other services using dynamic references", CloudFormation user guide.
    A service without a lookup, such as ssm-secure, raises ResourceFailure that says so.
    """
    if isinstance(node, str):
        return DYNAMIC.sub(lambda match: _resolve(match, lookups), node) if "{{resolve:" in node else node
    if isinstance(node, Mapping):
        return {key: resolve_dynamic(value, lookups) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve_dynamic(value, lookups) for value in node]
    return node


def _resolve(match: re.Match[str], lookups: Lookups) -> str:
    if match[1] not in lookups:
        raise ResourceFailure(
            f"The local cloud does not support dynamic references to {match[1]}: {match[0]}"
        )
    return lookups[match[1]](match[2])
