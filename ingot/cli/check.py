"""``ingot check``: validate recipes and their locks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.options import Environment
from ingot.errors import InputError
from ingot.recipe.load import environments, find_recipe, find_recipes, load_recipe
from ingot.recipe.lockfile import load_lock

app = typer.Typer(add_completion=False)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="The recipes; all when none is named.")] = None,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Validate recipes: report every problem at once, each with file:line:column. Nothing is touched.

    Without --env a recipe is checked in each of its environments.
    """
    paths = {name: find_recipe(recipes, name) for name in names} if names else find_recipes(recipes)
    if not paths:
        raise InputError(f"no recipe in {recipes}: recipes are in {recipes}/NAME/recipe.yaml")
    failed: list[InputError] = []
    for name, path in paths.items():
        for environment in environments(path) if env is None else [env]:
            try:
                _check(path, environment)
            except InputError as error:
                failed.append(error)
            else:
                print(f"{name}: ok" if environment is None else f"{name} in {environment}: ok")
    if failed:
        raise InputError(
            "\n".join(str(error) for error in failed if not error.problems),
            # What is wrong in every environment is said once.
            problems=dict.fromkeys(problem for error in failed for problem in error.problems),
        )


def _check(path: Path, environment: str | None) -> None:
    recipe = load_recipe(path, environment)
    # A base AMI's lock is made with the account's credentials: a recipe can be checked before that.
    if recipe.base.ami is None or recipe.lock_path.is_file():
        load_lock(recipe)
