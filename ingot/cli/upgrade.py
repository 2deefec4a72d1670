"""``ingot upgrade``: newer packages as pull requests, one for each recipe."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Recipes, recipe_names, without_slash
from ingot.forge.github import GitHub
from ingot.paths import RECIPES
from ingot.pipeline.lock import upgrade_all

app = typer.Typer(add_completion=False)


@app.command()
def upgrade(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="The recipes; default: all."
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
    as_json: AsJson = False,
) -> None:
    """Resolve each recipe's newest packages, push what moved to a branch, and open or refresh its pull
    request.

    A base AMI is looked up in the current region, where there are AWS credentials. Prints the pull requests.

    The branch is ingot/lock-NAME; one that somebody else committed to stays, and so does the working tree.

    The token is GITHUB_TOKEN.

    Examples: `ingot upgrade`, `ingot upgrade web --dry-run`.
    """
    target = None if dry_run else GitHub.of(repository, os.environ)
    upgrades = []
    with Reporter() as reporter:
        for upgraded in upgrade_all(recipes, names or [], target, base, reporter):
            if as_json:
                upgrades.append(
                    {"recipe": upgraded.name, "moved": list(upgraded.moved), "pull_request": upgraded.url}
                )
            elif upgraded.url is None:
                reporter.print("\n".join([f"{upgraded.name}:", *upgraded.moved]))
            else:
                reporter.print(f"{upgraded.name}: {upgraded.url}")
    if as_json:
        print_json(upgrades)
