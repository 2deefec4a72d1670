"""``ingot bake``: bake a recipe into a disk image."""

from __future__ import annotations

import os
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
# A bake keeps a processor and, while it writes the disk, a second one busy.
MOST_JOBS = 4


@app.command()
def bake(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            callback=without_slash,
            autocompletion=recipe_names,
            help="The recipes.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every recipe but those on base AMIs, which builder instances bake.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Bake even if the store has the image.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Bake again from the packages alone and compare every byte.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="If the bake fails, keep the root directory and print its path.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="How many images are baked at once.",
            show_default="half the processors, 4 at most",
        ),
    ] = None,
    env: Environment = None,
    recipes: Recipes = RECIPES,
    as_json: AsJson = False,
) -> None:
    """Bake recipes into disk images, those that the store lacks. Prints the recipe digest; for several
    recipes one line for each, NAME DIGEST.

    Examples: `ingot bake web`, `ingot bake web api`, `ingot bake --all`, `ingot bake web --check`.
    """
    if bool(names) == everything:
        raise InputError(
            f"{names[0]} and --all exclude each other" if names else "missing argument 'NAME', or --all",
            hint="`ingot bake web`, or `ingot bake --all`",
        )
    images: list[dict[str, str]] = []
    at_once = jobs or max(1, min(MOST_JOBS, (os.cpu_count() or 1) // 2))
    options = BakeOptions(tuple(names or ()), env, recipes, force=force, check=check, keep=keep, jobs=at_once)
    with Reporter() as report:
        for recipe, image in run(options, report):
            if as_json:
                images.append({"recipe": recipe.name, "digest": image.digest, "disk": str(image.disk)})
            else:
                report.print(image.digest if names and len(names) == 1 else f"{recipe.name} {image.digest}")
    if as_json:
        print_json(images)
