"""Exports: one name in a region, and no change of one that another stack uses.

Source: "Get exported outputs from a deployed CloudFormation stack", CloudFormation user guide.
"""

from __future__ import annotations

from collections.abc import Iterable

from localcloud.services.cloudformation.engine.model import Output, Stack
from localcloud.services.cloudformation.engine.scope import World
from localcloud.services.cloudformation.errors import CfnError


def check(stack: Stack, outputs: Iterable[Output], world: World) -> None:
    """Raise CfnError unless the stack may have these outputs instead of those that it has."""
    after: dict[str, str] = {}
    for output in outputs:
        if output.export is None:
            continue
        if output.export in after:
            raise CfnError(f"Duplicate Export names. Export {output.export} is declared more than once")
        after[output.export] = output.value
        owner = world.exporter(output.export)
        if owner not in (None, stack.id):
            raise CfnError(
                f"Export with name {output.export} is already exported by stack {_name(str(owner))}."
            )
    for name, users in in_use(stack.outputs, world):
        before = next(output.value for output in stack.outputs if output.export == name)
        if name not in after:
            raise CfnError(f"Export {name} cannot be deleted as it is in use by {users}")
        if after[name] != before:
            raise CfnError(f"Export {name} cannot be updated as it is in use by {users}")


def in_use(outputs: Iterable[Output], world: World) -> list[tuple[str, str]]:
    """Return the exports that stacks use, each with the names of these stacks."""
    names = [output.export for output in outputs if output.export is not None]
    return [(name, " and ".join(users)) for name in names if (users := world.importers(name))]


def _name(stack_id: str) -> str:
    return stack_id.split("/")[1]
