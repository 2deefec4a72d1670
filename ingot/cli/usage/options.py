"""Options that several commands have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ingot.paths import RECIPES

Environment = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="The recipe's environment, which sets its variables."),
]
FleetStack = Annotated[
    str | None,
    typer.Option("--stack", help="The fleet's stack.", show_default="ingot:fleet_stack in cdk.json"),
]
Recipes = Annotated[Path, typer.Option(metavar="DIR", help="The directory of the recipes.")]
Context = Annotated[
    list[str] | None,
    typer.Option("--context", "-c", metavar="KEY=VALUE", help="Context of the CDK app; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Memory = Annotated[int, typer.Option(min=256, metavar="MIB", help="Memory of the machine, in MiB.")]


def recipe_names(incomplete: str) -> list[str]:
    """Return the recipes of the working directory whose names begin so: for a shell's completion."""
    recipes = RECIPES.glob("*/recipe.yaml")
    return sorted(path.parent.name for path in recipes if path.parent.name.startswith(incomplete))


def image_names(incomplete: str) -> list[str]:
    """Return the recipes likewise, and the store's images whose recipe digests begin so."""
    from ingot import paths

    images = paths.store() / "images"
    digests = images.glob(f"{incomplete}*") if re.fullmatch("[0-9a-f]+", incomplete) else ()
    return [*recipe_names(incomplete), *sorted(path.name for path in digests)]


def without_slash(value: str | list[str] | None) -> str | list[str] | None:
    """Return recipes' names without the slash that a shell's completion writes after a directory."""
    if isinstance(value, str):
        return value.rstrip("/")
    return None if value is None else [name.rstrip("/") for name in value]
