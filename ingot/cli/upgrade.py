"""``ingot upgrade``: newer packages as pull requests, one for each recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.comment import github
from ingot.cli.options import without_slash
from ingot.recipe.load import environments, find_recipe, find_recipes, load_recipe
from ingot.recipe.lock import Upgrade as Moves
from ingot.recipe.lock import moved, resolve_lock
from ingot.recipe.lockfile import lock_text, read_lock
from ingot.review.git import Repository
from ingot.review.upgrade import Upgrade, propose, push

app = typer.Typer(add_completion=False)


@app.command()
def upgrade(
    names: Annotated[
        list[str] | None, typer.Argument(callback=without_slash, help="The recipes; all when none is named.")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="OWNER/NAME.", envvar="GITHUB_REPOSITORY", show_envvar=True)
    ] = None,
    base: Annotated[str, typer.Option(help="The branch to merge into.")] = "main",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve, and print what would move; push and open nothing.")
    ] = False,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Resolve each recipe's newest packages, push what moved to a branch, and open or refresh its pull request.

    Prints the pull requests. The branch is ingot/lock-NAME; the working tree stays as it was. The token is GITHUB_TOKEN.
    """
    target = None if dry_run else github(repository)
    commit = Repository.around(Path.cwd()).commit("HEAD")
    paths = {name: find_recipe(recipes, name) for name in names} if names else find_recipes(recipes)
    for name, path in paths.items():
        found = _upgrade(name, path)
        if not found.moved:
            _say(f"{name}: nothing moved")
        elif target is None:
            print("\n".join([f"{name}:", *found.moved]))
        else:
            if not push(found, commit):
                _say(f"{name}: {found.branch} is as it should be")
            print(f"{name}: {propose(found, target, base)}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _upgrade(name: str, path: Path) -> Upgrade:
    """Return what moves in the locks of a recipe: its own, and those of its environments that have one. Nothing is written."""
    locks: dict[Path, str] = {}
    lines: list[str] = []
    seen = set()
    for environment in environments(path):
        recipe = load_recipe(path, environment)
        # A base AMI is not locked to packages.
        if recipe.base.ami is not None or recipe.lock_path in seen:
            continue
        seen.add(recipe.lock_path)
        old = read_lock(recipe)
        new = resolve_lock(recipe, upgrade=Moves(everything=True), progress=_say)
        if new != old:
            locks[recipe.lock_path] = lock_text(new)
            lines += [line for line in moved(old, new) if line not in lines]
    return Upgrade(name, locks, tuple(lines))
