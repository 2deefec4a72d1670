"""``ingot upgrade``: newer packages as pull requests, one for each recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.comment import github
from ingot.cli.options import without_slash
from ingot.forge.git import Repository
from ingot.forge.github import GitHub
from ingot.forge.upgrade import LockUpgrade, TakenOver, propose, push
from ingot.recipe.load import environments, find_recipe, find_recipes, load_recipe
from ingot.recipe.lock import ami as ami_lock
from ingot.recipe.lock.file import lock_text, read_lock
from ingot.recipe.lock.resolve import Upgrade, moved, resolve_lock
from ingot.recipe.schema.model import Recipe

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

    A base AMI is looked up in the current region, where there are AWS credentials. Prints the pull requests. The branch is ingot/lock-NAME; the working tree stays as it was, and so does a branch that somebody else committed to. The token is GITHUB_TOKEN.
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
            _propose(found, commit, target, base)


def _propose(found: LockUpgrade, commit: str, target: GitHub, base: str) -> None:
    try:
        if not push(found, commit):
            _say(f"{found.name}: {found.branch} is as it should be")
    except TakenOver as error:
        # Its pull request says what the branch holds, which is not what moves now.
        _say(f"{found.name}: {error}")
    else:
        print(f"{found.name}: {propose(found, target, base)}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _upgrade(name: str, path: Path) -> LockUpgrade:
    """Return what moves in the locks of a recipe: its own, and those of its environments that have one. Nothing is written."""
    locks: dict[Path, str] = {}
    lines: list[str] = []
    seen = set()
    for environment in environments(path):
        recipe = load_recipe(path, environment)
        if recipe.lock_path in seen:
            continue
        seen.add(recipe.lock_path)
        text, found = _newest_ami(recipe) if recipe.base.ami is not None else _newest_packages(recipe)
        if text is not None:
            locks[recipe.lock_path] = text
            lines += [line for line in found if line not in lines]
    return LockUpgrade(name, locks, tuple(lines))


def _newest_packages(recipe: Recipe) -> tuple[str | None, list[str]]:
    """Return the text of the recipe's lock with the newest packages, and what moves; None when nothing does."""
    old = read_lock(recipe)
    new = resolve_lock(recipe, upgrade=Upgrade(everything=True), progress=_say)
    return (None, []) if new == old else (lock_text(new), moved(old, new))


def _newest_ami(recipe: Recipe) -> tuple[str | None, list[str]]:
    """Return the text of the recipe's lock with the newest base AMI of the current region, and what moves; None when nothing does."""
    import boto3

    from ingot.cli.lock_ami import resolve_ami

    if boto3.Session().get_credentials() is None:
        _say(f"{recipe.name}: its base AMI is looked up in AWS, and there are no credentials: it stays")
        return None, []
    old, new = resolve_ami(recipe, upgrade=True)
    return (None, []) if new == old else (new.text(), ami_lock.moved(old, new))
