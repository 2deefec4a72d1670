"""``ingot show``: what is in a disk image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ingot.cli.terminal.results import print_json, print_table
from ingot.cli.usage.options import Environment, Recipes, image_names, without_slash
from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.pipeline.store import ImageChoice, known_image
from ingot.store import Image

if TYPE_CHECKING:
    from rich.table import Table

    from ingot.store.sizes import DirectorySize, PackageSize

Row = TypeVar("Row", "PackageSize", "DirectorySize")
app = typer.Typer(add_completion=False)

DEPTH = 2


@app.command()
def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIGEST",
            callback=without_slash,
            autocompletion=image_names,
            help="A recipe, or the beginning of a digest.",
        ),
    ],
    packages: Annotated[
        bool, typer.Option("--packages", help="List all packages by the bytes of their files.")
    ] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Show which directories the bytes are in.")] = False,
    depth: Annotated[int | None, typer.Option(min=1, help="How deep --tree goes.", show_default="2")] = None,
    sbom: Annotated[
        bool, typer.Option("--sbom", help="Print the software bill of materials: CycloneDX 1.6, JSON.")
    ] = False,
    author: Annotated[
        str | None,
        typer.Option(help="The author of the bill of materials, with --sbom.", show_default="ingot"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest; with --packages or --tree their figures.")
    ] = False,
    env: Environment = None,
    recipes: Recipes = RECIPES,
) -> None:
    """Show what is in a disk image: system, packages, files, users, services, tests, sizes, digests.

    Examples: `ingot show web`, `ingot show web --packages`, `ingot show web --sbom`.
    """
    if packages + tree + sbom > 1:
        raise InputError("--packages, --tree and --sbom exclude each other")
    if depth is not None and not tree:
        raise InputError("--depth goes with --tree")
    if author is not None and not sbom:
        raise InputError("--author goes with --sbom")
    image = known_image(ImageChoice(what, recipes, env))
    if sbom:
        from ingot.store.sbom import TOOL
        from ingot.store.sbom import sbom as make

        print(make(image.manifest, author or TOOL))
    elif packages:
        _packages(image, as_json=as_json)
    elif tree:
        _tree(image, depth or DEPTH, as_json=as_json)
    elif as_json:
        print_json(image.manifest)
    else:
        from ingot.report.image import summary

        print(summary(image))


def _packages(image: Image, *, as_json: bool) -> None:
    from ingot.report.image import package_table
    from ingot.store.sizes import package_sizes

    _print(package_sizes(image), package_table, as_json=as_json)


def _tree(image: Image, depth: int, *, as_json: bool) -> None:
    from ingot.report.image import tree_table
    from ingot.store.sizes import directory_sizes

    directories = [directory for directory in directory_sizes(image.manifest) if directory.depth <= depth]
    _print(directories, tree_table, as_json=as_json)


def _print(rows: list[Row], table: Callable[[list[Row]], Table], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(table(rows))
