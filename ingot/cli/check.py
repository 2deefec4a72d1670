"""``ingot check``: validate recipes and their locks."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ingot import paths
from ingot.cli.errors import problem_text
from ingot.cli.options import AsJson, Environment, Recipes, recipe_names, without_slash
from ingot.cli.terminal import print_json
from ingot.errors import InputError, Problem
from ingot.paths import RECIPES
from ingot.recipe.load import environments, find_recipe, find_recipes, read_recipe
from ingot.recipe.lock.file import Lock, load_lock, problems_beside

app = typer.Typer(add_completion=False)


@app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="The recipes; all when none is named."
        ),
    ] = None,
    env: Environment = None,
    recipes: Recipes = RECIPES,
    as_json: AsJson = False,
) -> None:
    """Validate recipes: report every problem at once, each with file:line:column. Nothing is touched.

    Without --env a recipe is checked in each of its environments.

    Examples: `ingot check`, `ingot check web --env prod`.
    """
    found = {name: find_recipe(recipes, name) for name in names} if names else find_recipes(recipes)
    if not found:
        raise InputError(f"no recipe in {recipes}: recipes are in {recipes}/NAME/recipe.yaml")
    packages = paths.store() / "packages"
    failed: list[InputError] = []
    warned: list[Problem] = []
    checked: list[dict[str, str | None]] = []
    for name, path in found.items():
        for environment in environments(path) if env is None else [env]:
            try:
                warned += _check(path, environment, packages)
            except InputError as error:
                failed.append(error)
            else:
                checked.append({"recipe": name, "environment": environment})
                if not as_json:
                    print(f"{name}: ok" if environment is None else f"{name} in {environment}: ok")
    warnings = list(dict.fromkeys(warned))
    if as_json and not failed:
        print_json({"ok": checked, "warnings": [asdict(problem) for problem in warnings]})
    else:
        for problem in warnings:
            print(problem_text(problem, "warning"), file=sys.stderr)
    if failed:
        raise InputError(
            "\n".join(str(error) for error in failed if not error.problems),
            # What is wrong in every environment is said once.
            problems=dict.fromkeys(problem for error in failed for problem in error.problems),
        )


def _check(path: Path, environment: str | None, packages: Path) -> list[Problem]:
    """Raise InputError for all that is wrong with a recipe; return what may be."""
    recipe, problems = read_recipe(path, environment)
    if recipe is None or problems:
        more = [] if recipe is None else problems_beside(recipe, problems)
        raise InputError(f"{path}: the recipe has problems", problems=[*problems, *more])
    # A base AMI's lock is made with the account's credentials: a recipe can be checked before that.
    lock = load_lock(recipe) if recipe.base.ami is None or recipe.lock_path.is_file() else None
    from ingot.recipe.advice import unbounded_logs
    from ingot.store.early import hygiene_problems
    from ingot.store.weigh import size_problem

    found = hygiene_problems(recipe)
    size = size_problem(recipe, lock, packages) if isinstance(lock, Lock) else None
    if size is not None:
        found.append(size)
    # A step may remove files: then only the bake can tell.
    if found and not recipe.steps:
        raise InputError(found[0].found, problems=found)
    return [*found, *(unbounded_logs(recipe, lock) if isinstance(lock, Lock) else ())]
