"""``ingot bake``: bake a recipe into a disk image."""

from __future__ import annotations

from typing import Annotated

import typer

from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Environment, Recipes, recipe_names, without_slash
from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.pipeline.bake import BakeOptions
from ingot.pipeline.bake import bake as run

app = typer.Typer(add_completion=False)


@app.command()
def bake(
    name: Annotated[
        str | None,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="The recipe.", show_default=False
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every recipe but those on base AMIs, which builder instances bake.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Bake although the store has the image.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Bake again from the packages alone and compare every byte.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="When the bake fails, keep the root directory and say where.")
    ] = False,
    env: Environment = None,
    recipes: Recipes = RECIPES,
    as_json: AsJson = False,
) -> None:
    """Bake a recipe into a disk image, unless the store has it. Prints the recipe digest; with --all one line
    for each, NAME DIGEST.

    Examples: `ingot bake web`, `ingot bake --all`, `ingot bake web --check`.
    """
    if (name is None) != everything:
        raise InputError(
            "error: missing argument 'NAME', or --all"
            if name is None
            else f"error: {name} and --all exclude each other",
            hint="`ingot bake web`, or `ingot bake --all`",
        )
    images: list[dict[str, str]] = []
    options = BakeOptions(name, env, recipes, force=force, check=check, keep=keep)
    with Reporter() as report:
        for recipe, image in run(options, report):
            if as_json:
                images.append({"recipe": recipe.name, "digest": image.digest, "disk": str(image.disk)})
            else:
                report.print(image.digest if name else f"{recipe.name} {image.digest}")
    if as_json:
        print_json(images)
