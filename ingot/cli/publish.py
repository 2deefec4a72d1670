"""``ingot publish``: bake if need be, publish as an AMI, print its id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingot import paths
from ingot.cli.options import Environment
from ingot.errors import IngotError, InputError, PublishError

if TYPE_CHECKING:
    from ingot.aws.clients import Clients
    from ingot.aws.image import Published
    from ingot.aws.parent import ManifestOf
    from ingot.cli.reporting import Reporter
    from ingot.recipe.model import Recipe
    from ingot.store import Store

app = typer.Typer(add_completion=False)

RECIPES = Path("image_recipes")


@app.command()
def publish(
    name: Annotated[str, typer.Argument(help="The recipe's name, or its directory.")],
    digest: Annotated[
        str | None, typer.Option(help="The recipe digest that is expected; another one is an error.")
    ] = None,
    no_test: Annotated[
        bool, typer.Option("--no-test", help="No test clone. The registry then does not name the AMI.")
    ] = False,
    asset: Annotated[
        bool,
        typer.Option("--asset", help="As the CDK CLI calls it: print the path of a file with the result."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = RECIPES,
) -> None:
    """Publish a recipe's image as an AMI, and print the AMI's id. What is published already is not published again."""
    if asset and no_test:
        raise InputError(
            "--asset and --no-test exclude each other: a stack would wait for an AMI that the registry never names"
        )
    from ingot.aws.clients import connect
    from ingot.recipe.digest import recipe_digest

    recipe = _load(name, recipes, env)
    found = recipe_digest(recipe)
    if digest is not None and digest != found:
        raise InputError(
            f"the recipe {name} has the digest {found}; expected {digest}",
            hint="it changed since the templates were made: run `cdk synth` again",
        )
    with _reporting(recipe.name, found, asset=asset) as reporter:
        clients = connect()
        published = _publish(recipe, found, clients, reporter, test=not no_test)
    if asset:
        print(_result_file(published, clients.region))
    else:
        print(json.dumps(published.as_dict(), sort_keys=True) if as_json else published.ami_id)


def _load(name: str, recipes: Path, env: str | None) -> Recipe:
    from ingot.recipe.load import RECIPE_FILE, find_recipe, load_recipe

    directory = Path(name)
    given = directory if (directory / RECIPE_FILE).is_file() and len(directory.parts) > 1 else None
    return load_recipe(given or find_recipe(recipes, name), env)


@contextmanager
def _reporting(recipe: str, digest: str, *, asset: bool) -> Iterator[Reporter]:
    """Give the reporter. As an asset everything is in a log, too, the failure included, and the failure names the log."""
    from ingot.cli.reporting import Reporter

    log = paths.store() / "records" / "logs" / f"publish-{recipe}-{digest[:12]}.log" if asset else None
    with Reporter(log=log, terminal=asset) as reporter:
        try:
            yield reporter
        except IngotError as error:
            if log is not None:
                reporter(f"failed: {error}")
                error.message += f"\n  log: {log}"
            raise


def _publish(recipe: Recipe, digest: str, clients: Clients, reporter: Reporter, *, test: bool) -> Published:
    """Return the published image; what is published already is found with two calls, without a bake."""
    from ingot.aws.failures import translated
    from ingot.aws.publish import find_published, publish
    from ingot.aws.settings import PublishSettings, clone_settings

    with translated(PublishError):
        published = find_published(clients, recipe.name, digest)
        if published is not None:
            reporter(f"{recipe.name} {digest[:12]} is published as {published.ami_id}")
            return published
        # Asked before the bake: a missing stack must not cost a bake.
        clone = clone_settings(clients) if test else None
    from ingot.store import Store  # brings the whole engine, which the answer above does without

    store = Store(paths.store())
    image = store.bake(recipe, reporter)
    settings = PublishSettings(paths.store() / "records", clone, manifest_of=manifests(store))
    return publish(image, clients, settings, reporter)


def manifests(store: Store) -> ManifestOf:
    """Return the function that gives the manifest of a recipe digest that the store holds, else None."""

    def manifest_of(digest: str) -> dict[str, Any] | None:
        image = store.image(digest)
        return None if image is None else image.manifest

    return manifest_of


def _result_file(published: Published, region: str) -> Path:
    """Write the result where the CDK CLI can upload it from, whole or not at all, and return the file."""
    path = paths.store() / "records" / "published" / region / f"{published.recipe}-{published.digest}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(published.as_dict(), sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)
    return path
