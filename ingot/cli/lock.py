"""``ingot lock``: resolve a recipe's packages and write its recipe.lock."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Environment, Recipes, recipe_names, without_slash
from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.pipeline.lock import update_lock
from ingot.recipe.load import find_recipe, load_recipe_to_lock
from ingot.recipe.syntax.document import shown

app = typer.Typer(add_completion=False)


@app.command()
def lock(
    name: Annotated[
        str, typer.Argument(callback=without_slash, autocompletion=recipe_names, help="The recipe.")
    ],
    packages: Annotated[
        list[str] | None, typer.Argument(metavar="PACKAGE", help="With --upgrade: only these may move.")
    ] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Let locked versions move to the newest.")
    ] = False,
    env: Environment = None,
    recipes: Recipes = RECIPES,
    as_json: AsJson = False,
) -> None:
    """Resolve a recipe's packages from the distribution's signed index and write recipe.lock.

    A recipe on a base AMI is locked to the AMI of the current region (AWS_REGION); other regions' stay.

    Prints what moved; of a first lock, how many packages it has. Without --upgrade every locked version
    stays, as long as the index still has it.

    With --env the lock is that environment's own, recipe.NAME.lock.

    Examples: `ingot lock web`, `ingot lock web --upgrade`, `ingot lock web --env prod`.
    """
    if packages and not upgrade:
        raise InputError(
            "packages are named together with --upgrade",
            hint=f"ingot lock {name} --upgrade {' '.join(packages)}",
        )
    recipe = load_recipe_to_lock(find_recipe(recipes, name), env)
    with Reporter() as report:
        locking = update_lock(recipe, report, upgrade=upgrade, packages=packages or [])
    if as_json:
        result = {"recipe": recipe.name, "lock": str(recipe.lock_path), "moved": list(locking.moved)}
        print_json({**result, "packages": locking.packages, "written": locking.changes})
        return
    if not locking.changes:
        print(f"{shown(recipe.lock_path)}: nothing moved", file=sys.stderr)
        return
    if locking.old is not None or locking.packages is None:  # the first packages all are new
        for line in locking.moved:
            print(line)
    if locking.packages is not None:
        summary = (
            f"{locking.packages} packages, as of {datetime.fromtimestamp(locking.new.epoch, UTC):%Y-%m-%d}"
        )
        print(f"{shown(recipe.lock_path)}: {summary}", file=sys.stderr)
