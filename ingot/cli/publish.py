"""``ingot publish``: bake if need be, publish as an AMI, print its id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.terminal.results import json_text
from ingot.cli.usage.options import AsJson, Environment, Recipes, recipe_names, without_slash
from ingot.errors import IngotError, InputError
from ingot.paths import RECIPES
from ingot.pipeline.publish import (
    MODES,
    PACKAGES,
    PublishOptions,
    load_target,
    log_file,
    publish_recipe,
    write_result,
)

if TYPE_CHECKING:
    from ingot.cli.terminal.reporting import Reporter

app = typer.Typer(add_completion=False)

Expected = Annotated[str | None, typer.Option(help="Fail unless the recipe has this digest.")]
Untested = Annotated[
    bool, typer.Option("--no-test", help="No test clone. The registry then does not name the AMI.")
]
Asset = Annotated[
    bool, typer.Option("--asset", help="As the CDK CLI calls it: print the path of a file with the result.")
]
BakePlace = Annotated[
    str,
    typer.Option(
        metavar="auto|host|instance",
        help="Where to bake. auto: as the builder's stack says; that is a builder instance, "
        "on the local cloud this machine.",
    ),
]
BuilderImage = Annotated[
    str | None,
    typer.Option(help="What the builder instance boots: an AMI id, an SSM parameter's name, or a recipe."),
]
BuilderStack = Annotated[
    str | None,
    typer.Option(
        help="The stack with the builder: it says how test clones and builder instances start.",
        show_default="ingot:builder_stack in cdk.json",
    ),
]
Packages = Annotated[
    str,
    typer.Option(
        metavar="auto|mirror|bucket",
        help="Where the builder instance gets the packages. auto: the bucket.",
    ),
]
Region = Annotated[
    str | None, typer.Option(help="The region to publish in.", show_default="AWS_REGION, else the profile's")
]
Account = Annotated[str | None, typer.Option(help="Fail unless the credentials belong to this account.")]


@app.command()
def publish(
    name: Annotated[
        str,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="The recipe's name, or its directory."
        ),
    ],
    digest: Expected = None,
    no_test: Untested = False,
    asset: Asset = False,
    as_json: AsJson = False,
    builder: BakePlace = "auto",
    builder_image: BuilderImage = None,
    builder_stack: BuilderStack = None,
    packages: Packages = "auto",
    env: Environment = None,
    recipes: Recipes = RECIPES,
    region: Region = None,
    account: Account = None,
) -> None:
    """Publish a recipe's image as an AMI, and print the AMI's id. What is published already is not published
    again.

    Examples: `ingot publish web`, `ingot publish web --builder host`.
    """
    if asset and no_test:
        raise InputError(
            "--asset and --no-test exclude each other: "
            "a stack would wait for an AMI that the registry never names"
        )
    _one_of("--builder", builder, MODES)
    _one_of("--packages", packages, PACKAGES)
    from ingot.aws.session.clients import connect

    options = PublishOptions(
        name=name,
        digest=digest,
        environment=env,
        recipes=recipes,
        account=account,
        mode=builder,
        builder_image=builder_image,
        builder_stack=builder_stack,
        packages=packages,
        test=not no_test,
    )
    target = load_target(options)
    with _reporting(log_file(target) if asset else None) as reporter:
        clients = connect(region=region)
        published = publish_recipe(target, clients, options, reporter)
    if asset:
        print(write_result(published, clients.region))
    else:
        print(json_text(published.as_dict()) if as_json else published.ami_id)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"unknown value {value!r} for {option}", hint=f"use one of: {', '.join(known)}")


@contextmanager
def _reporting(log: Path | None) -> Iterator[Reporter]:
    """Give the reporter. With a log, which the CDK CLI's users need, it has the failure too, and the failure
    names it.
    """
    from ingot.cli.terminal.reporting import Reporter

    with Reporter(log=log, terminal=log is not None) as reporter:
        try:
            yield reporter
        except IngotError as error:
            if log is not None:
                reporter(f"failed: {error}")
                raise error.with_message(f"{error.message}\n  log: {log}") from error
            raise
