"""``ingot digest``: print a recipe's digest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.options import Environment, recipe_names, without_slash
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, load_recipe

app = typer.Typer(add_completion=False)


@app.command()
def digest(
    name: Annotated[
        str, typer.Argument(callback=without_slash, autocompletion=recipe_names, help="The recipe.")
    ],
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Print a recipe's digest: the identity of its image. Nothing is built."""
    print(recipe_digest(load_recipe(find_recipe(recipes, name), env)))
