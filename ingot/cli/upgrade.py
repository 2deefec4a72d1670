"""``ingot upgrade``: newer packages as pull requests, one for each recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.comment import github
from ingot.cli.options import Recipes, recipe_names, without_slash
from ingot.forge.git import Repository
from ingot.forge.github import GitHub
from ingot.forge.upgrade import LockUpgrade, TakenOver, propose, push
from ingot.paths import RECIPES
from ingot.pipeline.lock import newest
from ingot.recipe.load import find_recipe, find_recipes
from ingot.recipe.lock.index_cache import IndexCache

app = typer.Typer(add_completion=False)


@app.command()
def upgrade(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="The recipes; all when none is named."
        ),
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="OWNER/NAME.", envvar="GITHUB_REPOSITORY", show_envvar=True)
    ] = None,
    base: Annotated[str, typer.Option(help="The branch to merge into.")] = "main",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve, and print what would move; push and open nothing.")
    ] = False,
    recipes: Recipes = RECIPES,
) -> None:
    """Resolve each recipe's newest packages, push what moved to a branch, and open or refresh its pull
    request.

    A base AMI is looked up in the current region, where there are AWS credentials. Prints the pull requests.

    The branch is ingot/lock-NAME; one that somebody else committed to stays, and so does the working tree.

    The token is GITHUB_TOKEN.

    Examples: `ingot upgrade`, `ingot upgrade web --dry-run`.
    """
    target = None if dry_run else github(repository)
    commit = Repository.around(Path.cwd()).commit("HEAD")
    paths = {name: find_recipe(recipes, name) for name in names} if names else find_recipes(recipes)
    indexes = IndexCache()
    for name, path in paths.items():
        proposal = newest(name, path, _say, indexes)
        if not proposal.moved:
            _say(f"{name}: nothing moved")
        elif target is None:
            print("\n".join([f"{name}:", *proposal.moved]))
        else:
            _propose(proposal, commit, target, base)


def _propose(proposal: LockUpgrade, commit: str, target: GitHub, base: str) -> None:
    try:
        if not push(proposal, commit):
            _say(f"{proposal.name}: {proposal.branch} is as it should be")
    except TakenOver as error:
        # Its pull request says what the branch holds, which is not what moves now.
        _say(f"{proposal.name}: {error}")
    else:
        print(f"{proposal.name}: {propose(proposal, target, base)}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
