"""``ingot bake``: bake a recipe into a disk image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ingot.cli.options import Environment
from ingot.cli.reporting import Reporter
from ingot.errors import VerificationError
from ingot.recipe.load import find_recipe, load_recipe
from ingot.recipe.model import Recipe
from ingot.store import Store

app = typer.Typer(add_completion=False)


@app.command()
def bake(
    name: Annotated[str, typer.Argument(help="The recipe.")],
    force: Annotated[bool, typer.Option("--force", help="Bake although the store has the image.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Bake again from the packages alone and compare every byte.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="When the bake fails, keep the root directory and say where.")
    ] = False,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Bake a recipe into a disk image, unless the store has it. Prints the recipe digest."""
    recipe = load_recipe(find_recipe(recipes, name), env)
    store = Store()
    with Reporter() as report:
        image = store.bake(recipe, report, force=force, keep=keep)
        report(f"{name} {image.digest[:12]} is in {image.directory}")
        if check:
            _check(store, recipe, report)
    print(image.digest)


def _check(store: Store, recipe: Recipe, report: Reporter) -> None:
    """Bake again, cold; raise VerificationError that names the files and places that differ."""
    image = store.bake(recipe, report)
    manifest = store.check(recipe, report)
    if manifest["disk"]["root_digest"] != image.root_digest:
        raise VerificationError(
            _difference(image.manifest, manifest), hint="please report this: bakes must not differ"
        )
    report(f"baked twice, every byte is the same: root digest {image.root_digest}")


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Return which files and which blocks of two manifests differ."""
    lines = ["two bakes of the same recipe differ"]
    files = [{file["path"]: file for file in manifest["files"]} for manifest in (one, other)]
    paths = sorted(path for path in {*files[0], *files[1]} if files[0].get(path) != files[1].get(path))
    lines += [f"    file {path}" for path in paths[:20]]
    blocks = [manifest["disk"]["blocks"] for manifest in (one, other)]
    places = [index for index, (a, b) in enumerate(zip(*blocks, strict=True)) if a != b]
    lines += [f"    512 KiB at byte {index * 524288}" for index in places[:20]]
    if len(paths) > 20 or len(places) > 20:
        lines.append(f"    in all {len(paths)} files and {len(places)} blocks")
    return "\n".join(lines)
