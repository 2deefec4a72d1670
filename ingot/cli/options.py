"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Environment = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="The environment of the recipe whose variables count."),
]
FleetStack = Annotated[
    str | None,
    typer.Option("--stack", help="The fleet's stack.", show_default="ingot:fleet_stack in cdk.json"),
]


def without_slash(value: str | list[str] | None) -> str | list[str] | None:
    """Return recipes' names without the slash that a shell's completion writes after a directory."""
    if isinstance(value, str):
        return value.rstrip("/")
    return None if value is None else [name.rstrip("/") for name in value]
