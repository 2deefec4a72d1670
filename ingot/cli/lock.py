"""``ingot lock``: resolve a recipe's packages and write its recipe.lock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.options import Environment, without_slash
from ingot.errors import InputError
from ingot.recipe.load import find_recipe, load_recipe_to_lock
from ingot.recipe.lock.file import read_lock, write_lock
from ingot.recipe.lock.resolve import Upgrade, moved, resolve_lock
from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.document import shown

app = typer.Typer(add_completion=False)


@app.command()
def lock(
    name: Annotated[str, typer.Argument(callback=without_slash, help="The recipe.")],
    packages: Annotated[
        list[str] | None, typer.Argument(metavar="[PACKAGE]...", help="With --upgrade: only these may move.")
    ] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Let locked versions move to the newest.")
    ] = False,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Resolve a recipe's packages from the distribution's signed index and write recipe.lock.

    A recipe on a base AMI is locked to the AMI of the current region (AWS_REGION); other regions' stay.

    Prints what moved. With --env the lock is that environment's own, recipe.NAME.lock. Without --upgrade every locked version stays, as long as the index still has it.
    """
    if packages and not upgrade:
        raise InputError(
            "packages are named together with --upgrade",
            hint=f"ingot lock {name} --upgrade {' '.join(packages)}",
        )
    recipe = load_recipe_to_lock(find_recipe(recipes, name), env)
    if recipe.base.ami is not None:
        _lock_ami(recipe, packages or [], upgrade=upgrade)
        return
    old = read_lock(recipe)
    new = resolve_lock(
        recipe,
        upgrade=Upgrade(everything=upgrade and not packages, packages=frozenset(packages or ())),
        progress=lambda message: print(message, file=sys.stderr),
    )
    if new == old and recipe.own_lock_path.is_file():
        print(f"{shown(recipe.lock_path)}: nothing moved", file=sys.stderr)
        return
    write_lock(recipe, new)
    for line in moved(old, new):
        print(line)
    count = sum(1 for package in new.packages if package.role == "install")
    print(f"{shown(recipe.lock_path)}: {count} packages, epoch {new.epoch}", file=sys.stderr)


def _lock_ami(recipe: Recipe, packages: list[str], *, upgrade: bool) -> None:
    """Write the lock of a recipe on a base AMI."""
    from ingot.cli.lock_ami import resolve_ami
    from ingot.recipe.lock import ami as ami_lock

    if packages:
        raise InputError(f"{recipe.name} is on a base AMI, which is locked as a whole: name no packages")
    old, new = resolve_ami(recipe, upgrade=upgrade)
    if new == old and recipe.own_lock_path.is_file():
        print(f"{shown(recipe.lock_path)}: nothing moved", file=sys.stderr)
        return
    write_lock(recipe, new)
    for line in ami_lock.moved(old, new):
        print(line)
