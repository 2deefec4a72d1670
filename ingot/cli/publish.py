"""``ingot publish``: bake if need be, publish as an AMI, print its id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingot import paths
from ingot.cli.options import Environment, without_slash
from ingot.cli.publishing import MODES, PACKAGES, publish_image
from ingot.errors import IngotError, InputError

if TYPE_CHECKING:
    from ingot.aws.publish.image import Published
    from ingot.cli.reporting import Reporter
    from ingot.recipe.schema.model import Recipe

app = typer.Typer(add_completion=False)

RECIPES = Path("image_recipes")

Expected = Annotated[
    str | None, typer.Option(help="The recipe digest that is expected; another one is an error.")
]
Untested = Annotated[
    bool, typer.Option("--no-test", help="No test clone. The registry then does not name the AMI.")
]
Asset = Annotated[
    bool, typer.Option("--asset", help="As the CDK CLI calls it: print the path of a file with the result.")
]
Place = Annotated[
    str,
    typer.Option(
        metavar="auto|host|instance",
        help="Where to bake. auto: as the builder's stack says; that is a builder instance, on the local cloud this machine.",
    ),
]
BuilderImage = Annotated[
    str | None,
    typer.Option(help="What the builder instance boots: an AMI id, an SSM parameter's name, or a recipe."),
]
Packages = Annotated[
    str,
    typer.Option(
        metavar="auto|mirror|bucket",
        help="Where the builder instance gets the packages. auto: the mirror, on the local cloud the bucket.",
    ),
]
Region = Annotated[
    str | None, typer.Option(help="The region to publish in. [default: AWS_REGION, else the profile's]")
]
Account = Annotated[
    str | None, typer.Option(help="The account that the credentials have to be of; another one is an error.")
]


@app.command()
def publish(
    name: Annotated[str, typer.Argument(callback=without_slash, help="The recipe's name, or its directory.")],
    digest: Expected = None,
    no_test: Untested = False,
    asset: Asset = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    builder: Place = "auto",
    builder_image: BuilderImage = None,
    packages: Packages = "auto",
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = RECIPES,
    region: Region = None,
    account: Account = None,
) -> None:
    """Publish a recipe's image as an AMI, and print the AMI's id. What is published already is not published again."""
    if asset and no_test:
        raise InputError(
            "--asset and --no-test exclude each other: a stack would wait for an AMI that the registry never names"
        )
    _one_of("--builder", builder, MODES)
    _one_of("--packages", packages, PACKAGES)
    from ingot.aws.session.clients import connect, require_account
    from ingot.aws.session.failures import translated
    from ingot.recipe.digest import recipe_digest

    recipe = _load(name, recipes, env)
    found = recipe_digest(recipe)
    if digest is not None and digest != found:
        raise InputError(
            f"the recipe {name} has the digest {found}; expected {digest}",
            hint="it changed since the templates were made: run `cdk synth` again",
        )
    with _reporting(recipe.name, found, asset=asset) as reporter:
        clients = connect(region=region)
        if account is not None:
            with translated():
                require_account(clients, account, "--account")
        published = publish_image(
            recipe,
            found,
            clients,
            reporter,
            test=not no_test,
            mode=builder,
            image=builder_image,
            packages=packages,
        )
    if asset:
        print(_result_file(published, clients.region))
    else:
        print(json.dumps(published.as_dict(), sort_keys=True) if as_json else published.ami_id)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{option} {value}: expected one of {', '.join(known)}")


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


def _result_file(published: Published, region: str) -> Path:
    """Write the result where the CDK CLI can upload it from, whole or not at all, and return the file."""
    path = paths.store() / "records" / "published" / region / f"{published.recipe}-{published.digest}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(published.as_dict(), sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)
    return path
