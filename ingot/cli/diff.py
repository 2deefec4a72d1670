"""``ingot diff``: what differs between two images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingot.cli.options import without_slash
from ingot.errors import InputError
from ingot.report.render import render_markdown, render_report, render_text

if TYPE_CHECKING:
    from ingot.diff.compare import ImageDiff
    from ingot.diff.sides.fetch import Registry
    from ingot.diff.sides.find import Finder, Found

app = typer.Typer(add_completion=False)

IMAGE = "RECIPE|DIGEST|AMI|REVISION:RECIPE"


@app.command()
def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", callback=without_slash, help=f"The image before: {IMAGE}.")
    ],
    after: Annotated[
        str,
        typer.Argument(metavar="B", callback=without_slash, help="The image after, named in the same ways."),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", callback=without_slash, help="A and B are git revisions of this recipe."
        ),
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="The recipe's environment.")
    ] = None,
    bake: Annotated[bool, typer.Option("--bake", help="Bake what is not in the store.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Shorten nothing.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Print one self-contained HTML page.")] = False,
    boot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With --html: a record of `ingot boot --record`."),
    ] = None,
    changelogs: Annotated[
        bool, typer.Option("--changelogs/--no-changelogs", help="Read the packages' changelogs.")
    ] = True,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Show what differs between two images; exit code 0 when they are the same, 1 when they differ."""
    from ingot.cli.reporting import Reporter
    from ingot.diff.compare import image_diff
    from ingot.diff.sides.find import Finder
    from ingot.store import Store

    if as_markdown + as_json + as_html > 1:
        raise InputError("--markdown, --json and --html exclude each other")
    boots = _boots(boot or [])
    if boots and not as_html:
        raise InputError("--boot goes with --html")
    store = Store()
    with (
        Reporter() as report,
        Finder(store, recipes, _registry, report, may_bake=bake, environment=environment) as finder,
    ):
        one, other = (_find(finder, word, recipe) for word in (before, after))
        found = image_diff(
            one.manifest,
            other.manifest,
            before_disk=one.disk,
            after_disk=other.disk,
            packages=store.packages if changelogs else None,
        )
    if as_html:
        print(render_report({**found.to_json(), "boots": boots}))
    else:
        print(_rendered(found, as_markdown=as_markdown, as_json=as_json, everything=everything))
    raise typer.Exit(0 if found.empty else 1)


def _find(finder: Finder, word: str, recipe: str | None) -> Found:
    return finder.find(word) if recipe is None else finder.at_revision(word, recipe)


def _registry() -> Registry:
    from ingot.aws.session.clients import connect
    from ingot.diff.sides.fetch import Registry

    return Registry(connect())


def _boots(files: list[Path]) -> list[dict[str, Any]]:
    """Return records of boots. Raises InputError for a file that is none."""
    records = []
    for file in files:
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is no record of a boot: {error}") from error
        if not isinstance(record, dict) or record.get("format") != 1:
            raise InputError(f"{file} is no record of a boot", hint="make one with: ingot boot --record FILE")
        records.append(record)
    return records


def _rendered(found: ImageDiff, *, as_markdown: bool, as_json: bool, everything: bool) -> str:
    if as_json:
        return json.dumps(found.to_json(), sort_keys=True)
    if as_markdown:
        return render_markdown(found)
    return render_text(found, color=sys.stdout.isatty(), everything=everything)
