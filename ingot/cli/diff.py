"""``ingot diff``: what differs between two images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import json_text
from ingot.cli.usage.options import AsJson, Recipes, image_names, without_slash
from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.pipeline.diff import DiffOptions, read_boots
from ingot.pipeline.diff import diff as compare
from ingot.report.diff.markdown import render_markdown
from ingot.report.diff.text import render_text
from ingot.report.html.page import render_diff

if TYPE_CHECKING:
    from ingot.diff.compare import ImageDiff

app = typer.Typer(add_completion=False)

IMAGE = "RECIPE|DIGEST|AMI|REVISION:RECIPE"


@app.command()
def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="A",
            callback=without_slash,
            autocompletion=image_names,
            help=f"The image before: {IMAGE}.",
        ),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B",
            callback=without_slash,
            autocompletion=image_names,
            help="The image after, named in the same ways.",
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=without_slash,
            autocompletion=image_names,
            help="A and B are git revisions of this recipe.",
        ),
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="The recipe's environment.")
    ] = None,
    bake: Annotated[bool, typer.Option("--bake", help="Bake what is not in the store.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Print everything, shorten nothing.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: AsJson = False,
    as_html: Annotated[bool, typer.Option("--html", help="Print one self-contained HTML page.")] = False,
    boot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With --html: a record of `ingot boot --record`."),
    ] = None,
    changelogs: Annotated[
        bool, typer.Option("--changelogs/--no-changelogs", help="Read the packages' changelogs.")
    ] = True,
    recipes: Recipes = RECIPES,
) -> None:
    """Show what differs between two images; exit code 0 when they are the same, 1 when they differ.

    Examples: `ingot diff web@HEAD web`, `ingot diff web ami-0123456789abcdef0 --html`.
    """
    if as_markdown + as_json + as_html > 1:
        raise InputError("--markdown, --json and --html exclude each other")
    boots = read_boots(boot or [])
    if boots and not as_html:
        raise InputError("--boot goes with --html")
    options = DiffOptions(
        before, after, recipe, environment, bake=bake, changelogs=changelogs, recipes=recipes
    )
    with Reporter() as report:
        result = compare(options, report)
    if as_html:
        print(render_diff(result, boots))
    else:
        print(_rendered(result, as_markdown=as_markdown, as_json=as_json, everything=everything))
    raise typer.Exit(0 if result.empty else 1)


def _rendered(result: ImageDiff, *, as_markdown: bool, as_json: bool, everything: bool) -> str:
    if as_json:
        return json_text(result.to_json())
    if as_markdown:
        return render_markdown(result)
    return render_text(result, color=sys.stdout.isatty(), everything=everything)
