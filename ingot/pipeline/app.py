"""What the CDK app of the working directory says of itself: the names of its stacks.

Ingot knows no stack by name. An app names them in its cdk.json, under ``context``, so that they need not be
given to each command.
"""

from __future__ import annotations

import json
from pathlib import Path

from ingot.errors import InputError

BUILDER_STACK = "ingot:builder_stack"
FLEET_STACK = "ingot:fleet_stack"
_OPTIONS = {BUILDER_STACK: "--builder-stack", FLEET_STACK: "--stack"}
_WHAT = {BUILDER_STACK: "builder", FLEET_STACK: "fleet"}


def stack_name(key: str, project: Path = Path()) -> str | None:
    """Return the stack that the app in ``project`` names as ``key``, BUILDER_STACK or FLEET_STACK; None
    without an app, or where it names none.

    Raises InputError when cdk.json cannot be read.
    """
    file = project / "cdk.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    context = content.get("context", {}) if isinstance(content, dict) else {}
    name = context.get(key) if isinstance(context, dict) else None
    if name is not None and not isinstance(name, str):
        raise InputError(f"{file}: context key {key} must be the name of a stack, not {name!r}")
    return name


def require_stack(key: str, given: str | None = None) -> str:
    """Return ``given``, else what :func:`stack_name` finds in the working directory; raise InputError without
    either.
    """
    name = given or stack_name(key)
    if name is None:
        raise InputError(
            f"no stack of a {_WHAT[key]} is named",
            hint=f"name it with {_OPTIONS[key]}, or in cdk.json, under context, as {key}",
        )
    return name
