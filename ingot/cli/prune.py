"""``ingot prune``: retire old images. Shows what would go; ``--yes`` does it."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.terminal.results import json_text, print_json
from ingot.cli.usage.options import AsJson, recipe_names, without_slash
from ingot.errors import InputError
from ingot.paths import RECIPES

if TYPE_CHECKING:
    from ingot.aws.prune.plan import PrunePlan
    from ingot.aws.prune.prune import Pruned
    from ingot.aws.session.clients import Clients

app = typer.Typer(add_completion=False)


@app.command()
def prune(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            callback=without_slash,
            autocompletion=recipe_names,
            help="Recipes to look at.",
            show_default="all",
        ),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="How many of each recipe's newest images stay.")] = 5,
    min_age: Annotated[int, typer.Option(min=0, help="Images younger than this stay, days.")] = 7,
    versions: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="How many of the newest versions of each fleet's launch template stay.",
            show_default="all",
        ),
    ] = None,
    interrupted: Annotated[
        bool,
        typer.Option(
            "--interrupted",
            help="Instead of old images, remove what interrupted publishes from this machine left behind.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove images that nothing uses: AMI, snapshots, registry entry. Without --yes, only say what
    would go.

    Examples: `ingot prune`, `ingot prune web --keep 10 --yes`.
    """
    from ingot.aws.prune.plan import Rules
    from ingot.aws.session.clients import connect
    from ingot.cli.terminal.reporting import Reporter
    from ingot.pipeline.prune import plan as make_plan
    from ingot.pipeline.prune import remove

    clients = connect()
    if interrupted:
        if recipes or versions is not None:
            raise InputError(
                "--interrupted looks at all recipes, and at no launch template",
                hint="leave out the recipes and --versions",
            )
        _prune_interrupted(clients, yes=yes, as_json=as_json)
        return
    rules = Rules(keep, dt.timedelta(days=min_age), versions, tuple(recipes or ()))
    plan = make_plan(clients, rules, RECIPES)
    if not yes:
        print(json_text(plan.as_dict()) if as_json else _shown(plan))
        return
    with Reporter() as reporter:
        done = remove(clients, plan, reporter)
    print(json_text(done.as_dict()) if as_json else _summary(done))
    for what, why in done.stayed:
        print(f"error: {what} stays: {why}", file=sys.stderr)
    raise typer.Exit(1 if done.stayed else 0)


def _prune_interrupted(clients: Clients, *, yes: bool, as_json: bool) -> None:
    from ingot.cli.terminal.reporting import Reporter
    from ingot.pipeline.prune import interrupted, remove_interrupted

    left = interrupted(clients)
    if yes:
        with Reporter() as reporter:
            remove_interrupted(clients, reporter)
    done = "removed" if yes else "remove"
    if as_json:
        print_json({done: [[resource.kind, resource.id] for resource in left]})
        return
    lines = [f"{done}  {resource.kind} {resource.id}" for resource in left]
    end = "nothing was left behind" if not left else "" if yes else "nothing was changed: --yes removes it"
    print("\n".join(filter(None, [*lines, end])))


def _shown(plan: PrunePlan) -> str:
    """Return a plan as text: a line for each image, those that go first."""
    lines = [
        f"remove  {image.ami_id}  {image.recipe}  {image.digest[:12]}  {image.created:%Y-%m-%d}"
        for image in plan.going
    ]
    lines += [f"remove  {snapshot}  a snapshot without an AMI" for snapshot in plan.snapshots]
    lines += [f"remove  {version}  {version.ami_id}" for version in plan.versions]
    for image in plan.images:
        if image.reasons:
            more = f"  (and {len(image.reasons) - 1} more)" if len(image.reasons) > 1 else ""
            lines.append(
                f"keep    {image.ami_id}  {image.recipe}  {image.digest[:12]}  {image.created:%Y-%m-%d}  "
                f"{image.reasons[0]}{more}"
            )
    end = "nothing to remove" if plan.empty else "nothing was changed: --yes removes what says remove"
    return "\n".join([*lines, end])


def _summary(done: Pruned) -> str:
    lines = [f"{ami_id}  came into use and stays: {why}" for ami_id, why in done.spared]
    lines.append(
        f"removed {len(done.images)} images, {len(done.snapshots)} snapshots, "
        f"{len(done.versions)} launch template versions"
    )
    return "\n".join(lines)
