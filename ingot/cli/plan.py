"""``ingot plan``: what a merge would do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.reporting import Reporter
from ingot.cli.usage.options import AsJson, Context, Recipes
from ingot.errors import InputError, VerificationError
from ingot.paths import RECIPES
from ingot.pipeline.plan import PlanOptions, failures
from ingot.pipeline.plan import plan as make
from ingot.plan.result import Plan
from ingot.report.files import plan_json, write_report
from ingot.report.plan.text import render_text

app = typer.Typer(add_completion=False)

# With --detailed-exitcode, in the manner of `terraform plan`; 1, 2 and 3 mean here what they mean everywhere.
UNLIMITED = 1 << 40
EXIT_CODES = {"nothing": 0, "something": 4, "dangerous": 5}


@app.command()
def plan(
    base: Annotated[
        str | None,
        typer.Option(
            help="The revision to compare with.", show_default="where HEAD left origin/main or main"
        ),
    ] = None,
    deployed: Annotated[
        bool, typer.Option("--deployed", help="Compare stacks with what is deployed; needs credentials.")
    ] = False,
    bake: Annotated[
        bool, typer.Option("--bake", help="Bake what changed and the store lacks, and compare the images.")
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An environment; repeatable.", show_default="none is named"),
    ] = None,
    all_environments: Annotated[
        bool,
        typer.Option(
            "--all-environments", help="Plan without an environment, and for each one in environments.yaml."
        ),
    ] = False,
    context: Context = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, whole, as for a pull request.")
    ] = False,
    boot: Annotated[
        bool,
        typer.Option(
            "--boot",
            help="Boot each image that changed and run its tests; exit 1 if one fails or is not baked.",
        ),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one self-contained page.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the JSON to a file as well.")
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit 4 when something changes, 5 when that is dangerous."),
    ] = False,
    recipes: Recipes = RECIPES,
) -> None:
    """Print what a merge would do: digests and why they change, images to bake, stacks by `cdk diff`, the
    rollout.

    Examples: `ingot plan`, `ingot plan --bake --html plan.html`.
    """
    if as_json and markdown:
        raise InputError(
            "--json and --markdown exclude each other", hint="--save FILE writes the JSON as well"
        )
    options = PlanOptions(
        base=base,
        deployed=deployed,
        bake=bake,
        boot=boot,
        environments=tuple(env or ()),
        all_environments=all_environments,
        context=tuple(context or ()),
        recipes=recipes,
    )
    with Reporter() as report:
        # The plan's stdout is its own; what a boot prints is progress here.
        result = make(Path.cwd(), options, report, lambda line: print(printable(line), file=sys.stderr))
    if save is not None:
        write_report(save, plan_json(result) + "\n")
    if html is not None:
        from ingot.report.html.page import render_plan

        write_report(html, render_plan(result))
    _print(result, as_json=as_json, markdown=markdown)
    if failed := failures(result):
        raise VerificationError("\n".join(["images of this plan fail:", *(f"  {line}" for line in failed)]))
    if detailed_exitcode:
        raise typer.Exit(EXIT_CODES[result.verdict])


def _print(plan: Plan, *, as_json: bool, markdown: bool) -> None:
    if as_json:
        print(plan_json(plan))
    elif markdown:
        from ingot.report.plan.comment import render_comment

        print(render_comment(plan, limit=UNLIMITED), end="")
    else:
        print(render_text(plan), end="")
