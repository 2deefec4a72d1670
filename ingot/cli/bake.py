"""``ingot bake``: bake a recipe into a disk image.

To read the command line and the recipe takes as long as the process that bakes takes to start. So main.py starts that first, and
gives it to the command in ``ctx.obj``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.options import Environment, without_slash
from ingot.cli.reporting import Reporter
from ingot.errors import IngotError, InputError, VerificationError

if TYPE_CHECKING:
    from ingot.bake.disk.places import Place
    from ingot.bake.runtime.engine import Worker
    from ingot.recipe.schema.model import Recipe
    from ingot.store import Store

app = typer.Typer(add_completion=False)
# How many files, and how much else, an error names: a step that changes all would fill the screen.
SHOWN = 20


def start_worker() -> Worker | None:
    """Return the process of the first bake, started.

    None for an ordinary user, whose one needs a look at the machine first, and where it cannot start: the bake says why, if it comes to that.
    """
    if os.geteuid() != 0:
        return None
    from ingot.bake.runtime.engine import Worker

    try:
        return Worker()
    except (IngotError, OSError):
        return None


@app.command()
def bake(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(callback=without_slash, help="The recipe.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every recipe but those on base AMIs, which builder instances bake.")
    ] = False,
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
    """Bake a recipe into a disk image, unless the store has it. Prints the recipe digest; with --all one line for each, NAME DIGEST."""
    if (name is None) != everything:
        raise InputError(
            "ingot bake: found neither NAME nor --all"
            if name is None
            else f"ingot bake: found {name} and --all",
            hint="expected one of them: `ingot bake web`, or `ingot bake --all`",
        )
    from ingot.store import Store

    worker, store = ctx.obj, Store()
    with Reporter() as report:
        for recipe in _every(recipes, env, report) if name is None else [_one(recipes, name, env)]:
            image = store.bake(recipe, report, force=force, keep=keep, worker=worker)
            worker = None  # it does one job
            report(f"{recipe.name} {image.digest[:12]} is in {image.directory}")
            if check:
                _check(store, recipe, report)
            print(image.digest if name else f"{recipe.name} {image.digest}", flush=True)


def _one(recipes: Path, name: str, env: str | None) -> Recipe:
    from ingot.recipe.load import find_recipe, load_recipe

    return load_recipe(find_recipe(recipes, name), env)


def _every(recipes: Path, env: str | None, report: Reporter) -> list[Recipe]:
    """Return the recipes that this machine can bake; one that does not know the environment is the same in each."""
    from ingot.recipe.load import environments, find_recipes, load_recipe

    found = []
    for name, path in find_recipes(recipes).items():
        known = environments(path)
        if env not in known and None not in known:
            report(f"{name} is left out: it has the environments {', '.join(map(str, known))} only")
            continue
        recipe = load_recipe(path, env if env in known else None)
        if recipe.base.ami is None:
            found.append(recipe)
        else:
            report(f"{name} is left out: a builder instance bakes it, on its base AMI")
    return found


def _check(store: Store, recipe: Recipe, report: Reporter) -> None:
    """Bake again, cold, and compare every byte; raise VerificationError that names the files and places that differ."""
    image = store.bake(recipe, report)
    with store.using(image), store.baked_again(recipe, report) as again:
        report("comparing the disks")
        places = compare(image.disk, again.disk)
    if places:
        raise VerificationError(
            f"two bakes of the same recipe differ:\n{difference_text(places)}",
            hint="a step that writes a time, a random value or the order of a directory does this; let it not",
        )
    report(f"baked twice, every byte is the same: root digest {image.root_digest}")


def compare(one: Path, other: Path) -> list[Place]:
    """Return what differs between two disks, read from the disks themselves."""
    from ingot.blocks import BLOCK_SIZE, block_count

    size = max(one.stat().st_size, other.stat().st_size)
    blocks = []
    with one.open("rb") as left, other.open("rb") as right:
        for index in range(block_count(size)):
            if left.read(BLOCK_SIZE) != right.read(BLOCK_SIZE):
                blocks.append(index)
    if not blocks:
        return []
    # It reads file systems: a bake that is not checked need not wait for that to be imported.
    from ingot.bake.disk.places import differences

    return differences(one, other, blocks)


def difference_text(places: list[Place]) -> str:
    """Return the places for people, files first: the rest follows from them."""
    files = [place for place in places if place.what.startswith("/")]
    rest = [place for place in places if not place.what.startswith("/")]
    lines = [
        f"    {place.what}: {place.differing} bytes, the first at byte {place.inside} of it, byte {place.offset} of the disk"
        for place in files[:SHOWN]
    ]
    lines += [
        f"    {place.what}: {place.differing} bytes, the first at byte {place.offset} of the disk"
        for place in rest[:SHOWN]
    ]
    left_out = max(0, len(files) - SHOWN) + max(0, len(rest) - SHOWN)
    return "\n".join([*lines, *([f"    and {left_out} more"] if left_out else [])])
