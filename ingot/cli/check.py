"""``ingot check``: validate recipes and their locks."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from ingot.cli.failures.text import problem_text
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Environment, Recipes, recipe_names, without_slash
from ingot.paths import RECIPES

app = typer.Typer(add_completion=False)


@app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="The recipes; default: all."
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
    from ingot.pipeline.check.recipes import check_recipes, require_sound, warnings_of

    checked = []
    for one in check_recipes(recipes, names or [], env):
        checked.append(one)
        if one.error is None and not as_json:
            print(f"{one.name}: ok" if one.environment is None else f"{one.name} in {one.environment}: ok")
    warnings = warnings_of(checked)
    if as_json:
        require_sound(checked)
        ok = [{"recipe": one.name, "environment": one.environment} for one in checked]
        print_json({"ok": ok, "warnings": [asdict(problem) for problem in warnings]})
        return
    for problem in warnings:
        print(problem_text(problem, "warning"), file=sys.stderr)
    require_sound(checked)
