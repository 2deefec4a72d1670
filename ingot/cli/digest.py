"""``ingot digest``: print a recipe's digest."""

from __future__ import annotations

from typing import Annotated

import typer

from ingot.cli.terminal.results import json_text
from ingot.cli.usage.options import AsJson, Environment, Recipes, recipe_names, without_slash
from ingot.paths import RECIPES
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, load_recipe

app = typer.Typer(add_completion=False)


@app.command()
def digest(
    name: Annotated[
        str, typer.Argument(callback=without_slash, autocompletion=recipe_names, help="The recipe.")
    ],
    env: Environment = None,
    recipes: Recipes = RECIPES,
    as_json: AsJson = False,
) -> None:
    """Print a recipe's digest: the identity of its image. Nothing is built.

    Examples: `ingot digest web`.
    """
    recipe = load_recipe(find_recipe(recipes, name), env)
    recipe_sha256 = recipe_digest(recipe)
    print(json_text({"recipe": recipe.name, "digest": recipe_sha256}) if as_json else recipe_sha256)
