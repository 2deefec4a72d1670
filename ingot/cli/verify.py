"""``ingot verify``: hold clones, or a published image, against the manifest."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.blocks import BLOCK_SIZE
from ingot.cli.terminal.results import json_text
from ingot.cli.terminal.verdicts import fleet_lines, fleet_summary
from ingot.cli.usage.mistakes import CommandGroup
from ingot.cli.usage.options import AsJson, Environment, FleetStack, Recipes, recipe_names, without_slash
from ingot.paths import RECIPES

if TYPE_CHECKING:
    from ingot.aws.verify.image import ImageVerdict

app = typer.Typer(
    cls=CommandGroup, add_completion=False, help="Compare clones or a published image with the manifest."
)

# How many differing blocks are named; --json has all.
NAMED_BLOCKS = 10


@app.command()
def fleet(
    stack: FleetStack = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to wait for clones that have not reported.",
            show_default="300 and a fifth of one for each clone",
        ),
    ] = None,
    max_age: Annotated[
        float, typer.Option(min=1, help="Minutes; an inventory that is older proves nothing.")
    ] = 20,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Ask only this many clones, chosen at random.", show_default="all"),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of resuming an interrupted run.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what every clone says of itself with the manifest; exit code 1 when one differs.

    A run that is broken off keeps what it has proved, and the next one goes on from there.

    Examples: `ingot verify fleet`, `ingot verify fleet --sample 50 --json`.
    """
    from ingot.aws.session.clients import connect
    from ingot.cli.terminal.reporting import Reporter
    from ingot.pipeline.app import FLEET_STACK, require_stack
    from ingot.pipeline.verify import AskClones, verify_stack

    ask = AskClones(timeout, max_age * 60, sample, restart)
    with Reporter() as reporter:
        verdict = verify_stack(connect(), require_stack(FLEET_STACK, stack), reporter, ask)
    print(json_text(verdict.as_dict()) if as_json else "\n".join(fleet_lines(verdict)))
    print(fleet_summary(verdict), file=sys.stderr)
    raise typer.Exit(0 if verdict.ok else 1)


@app.command()
def image(
    name: Annotated[
        str,
        typer.Argument(
            callback=without_slash, autocompletion=recipe_names, help="A recipe's name, or an AMI's id."
        ),
    ],
    as_json: AsJson = False,
    env: Environment = None,
    recipes: Recipes = RECIPES,
) -> None:
    """Compare all blocks of an AMI's snapshot with the manifest; exit code 1 when one differs.

    Examples: `ingot verify image web`, `ingot verify image ami-0123456789abcdef0`.
    """
    from ingot.aws.session.clients import connect
    from ingot.cli.terminal.reporting import Reporter
    from ingot.pipeline.verify import verify_published

    with Reporter() as reporter:
        verdict = verify_published(connect(), name, recipes, env, reporter)
    print(json_text(verdict.as_dict()) if as_json else _image_lines(verdict))
    raise typer.Exit(0 if verdict.ok else 1)


def _image_lines(verdict: ImageVerdict) -> str:
    """Return the verdict on an AMI as text; the first differing blocks are named with their place on the
    disk.
    """
    from ingot.bake.disk.contents import in_it

    read = verdict.read
    if verdict.ok:
        where = f"{verdict.ami_id}  {read.snapshot_id}"
        good = f"{where}  root digest {read.root_digest}: bit for bit the baked disk"
        return good if verdict.by_manifest else f"{good}, by the AMI's own tag"
    lines = [f"{verdict.ami_id}  {read.snapshot_id}  DIFFERS", f"  root digest {read.root_digest}"]
    lines.append(f"  expected    {verdict.expected_root}")
    for index in read.differing[:NAMED_BLOCKS]:
        first = index * BLOCK_SIZE
        things = in_it(verdict.contents.get(index, ()))
        lines.append(f"  block {index} (bytes {first} to {first + BLOCK_SIZE - 1} of the disk){things}")
    if len(read.differing) > NAMED_BLOCKS:
        lines.append(f"  …and {len(read.differing) - NAMED_BLOCKS} more blocks")
    if not verdict.by_manifest:
        lines.append(
            "  which blocks differ the manifest would say; bake that commit's recipe to have it here"
        )
    return "\n".join(lines)
