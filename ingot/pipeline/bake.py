"""Baking recipes: which of them this machine can bake, and the proof that two bakes give the same bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ingot.errors import IngotError, InputError, VerificationError
from ingot.files import read_limited
from ingot.paths import ENVIRONMENTS, RECIPES
from ingot.progress import Lane, Progress

if TYPE_CHECKING:
    from ingot.bake.disk.differences import Difference
    from ingot.bake.engine import Worker
    from ingot.recipe.schema.model import Recipe
    from ingot.store import Image, Store
    from ingot.store.shared import SharedStore

# Bytes of environments.yaml, which are bounded as those of each file that a person writes.
MOST = 1 << 20
# How many files, and how much else, an error names: a step that changes all would fill the screen.
SHOWN = 20


@dataclass(frozen=True)
class BakeOptions:
    """What to bake. No ``names``: every recipe in ``recipes`` but those on base AMIs, which builder instances
    bake.

    ``force`` bakes although the store has the image; ``check`` bakes again from the packages alone and
    compares every byte; ``keep`` leaves the root directory of a bake that fails. ``jobs``: how many images
    are baked at once.
    """

    names: tuple[str, ...]
    environment: str | None = None
    recipes: Path = RECIPES
    force: bool = False
    check: bool = False
    keep: bool = False
    jobs: int = 1


def bake(options: BakeOptions, progress: Progress) -> Iterator[tuple[Recipe, Image]]:
    """Bake each recipe, unless the store has its image, and yield it with its image, in the recipes' order.

    After a failure no other bake begins, and those that run come to their end. Raises InputError for a
    recipe, BakeError for a bake, VerificationError when two bakes differ.
    """
    # First of all: what is imported and read below takes as long as the process that bakes takes to start.
    with _started_worker() as worker:
        store = open_store()
        recipes = _recipes(options, progress)
        if options.jobs > 1 and len(recipes) > 1:
            yield from _bake_side_by_side(store, recipes, options, progress)
            return
        for recipe in recipes:
            yield recipe, _bake_one(store, recipe, options, progress, worker)
            worker = None  # it does one job


def _bake_one(
    store: Store, recipe: Recipe, options: BakeOptions, progress: Progress, worker: Worker | None
) -> Image:
    image = store.bake(recipe, progress, force=options.force, keep=options.keep, worker=worker)
    progress(f"{recipe.name} {image.digest[:12]} is in {image.directory}")
    if options.check:
        _check(store, recipe, progress)
    return image


def _bake_side_by_side(
    store: Store, recipes: list[Recipe], options: BakeOptions, progress: Progress
) -> Iterator[tuple[Recipe, Image]]:
    """Bake several recipes at once: a thread each, which waits for the process that bakes."""
    from ingot.bake.engine import Worker
    from ingot.bake.runtime.rights import check_rights
    from ingot.recipe.digest import recipe_digest

    running: list[Worker] = []

    def work(recipe: Recipe) -> Image:
        with Lane(progress, recipe.name) as lane, ExitStack() as own:
            worker = None
            if options.force or store.image(recipe_digest(recipe)) is None:
                if os.geteuid() != 0:
                    check_rights()  # as the engine does before it starts one
                worker = own.enter_context(Worker())
                running.append(worker)
            return _bake_one(store, recipe, options, lane, worker)

    with ThreadPoolExecutor(options.jobs) as threads:
        baked = [threads.submit(work, recipe) for recipe in recipes]
        try:
            for recipe, future in zip(recipes, baked, strict=True):
                yield recipe, future.result()
        except IngotError:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C, or a caller that wants no more: nobody waits for what they do
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in running:
                worker.give_up()
            raise


@contextmanager
def _started_worker() -> Iterator[Worker | None]:
    """Start the process of the first bake; it ends with the context.

    None for an ordinary user, whose worker needs a look at the machine first, and where it cannot start: the
    bake says why, if it comes to that.
    """
    if os.geteuid() != 0:
        yield None
        return
    from ingot.bake.engine import Worker

    try:
        worker = Worker()
    except (IngotError, OSError):
        yield None
        return
    with worker:
        yield worker


def _recipes(options: BakeOptions, progress: Progress) -> list[Recipe]:
    """Return the recipes that are named, else all that this machine can bake.

    A recipe that does not know the environment is the same in each.
    """
    from ingot.recipe.load import environments, find_recipe, find_recipes, load_recipe

    env = options.environment
    if options.names:
        return [load_recipe(find_recipe(options.recipes, name), env) for name in dict.fromkeys(options.names)]
    recipes = []
    for name, path in find_recipes(options.recipes).items():
        known = environments(path)
        if env not in known and None not in known:
            progress(f"{name} is left out: it has the environments {', '.join(map(str, known))} only")
            continue
        recipe = load_recipe(path, env if env in known else None)
        if recipe.base.ami is None:
            recipes.append(recipe)
        else:
            progress(f"{name} is left out: a builder instance bakes it, on its base AMI")
    return recipes


def _check(store: Store, recipe: Recipe, progress: Progress) -> None:
    """Bake again, cold, and compare every byte; raise VerificationError that names the files and places that
    differ.
    """
    image = store.bake(recipe, progress)
    with store.using(image), store.baked_again(recipe, progress) as again:
        progress("comparing the disks")
        places = compare(image.disk, again.disk)
    if places:
        raise VerificationError(
            f"two bakes of the same recipe differ:\n{difference_text(places)}",
            hint="a step that writes a time, a random value or the order of a directory does this; "
            "change that step",
        )
    progress(f"baked twice, every byte is the same: root digest {image.root_digest}")


def compare(one: Path, other: Path) -> list[Difference]:
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
    from ingot.bake.disk.differences import differences

    return differences(one, other, blocks)


def difference_text(differences: list[Difference]) -> str:
    """Return the differences for people, files first: the rest follows from them."""
    files = [difference for difference in differences if difference.what.startswith("/")]
    rest = [difference for difference in differences if not difference.what.startswith("/")]
    lines = [
        f"    {difference.what}: {difference.differing} bytes, the first at byte {difference.inside} of it, "
        f"byte {difference.offset} of the disk"
        for difference in files[:SHOWN]
    ]
    lines += [
        f"    {difference.what}: {difference.differing} bytes, "
        f"the first at byte {difference.offset} of the disk"
        for difference in rest[:SHOWN]
    ]
    left_out = max(0, len(files) - SHOWN) + max(0, len(rest) - SHOWN)
    return "\n".join([*lines, *([f"    and {left_out} more"] if left_out else [])])


def open_store() -> Store:
    """Return the store, with the shared one that the project in the working directory names.

    Artifacts in S3 are read with the caller's credentials, once one is missing; nothing is asked before.
    """
    from ingot.store import Store

    return Store(open_s3=_open_s3, shared=_shared_store())


def _shared_store() -> SharedStore | None:
    """Return the shared store of ``environments.yaml``: its keys ``store`` and ``store_owner``."""
    try:
        text = read_limited(ENVIRONMENTS, MOST).decode("utf-8", "replace")
    except OSError:
        return None
    if not re.search(r"^[\"']?store[\"']?\s*:", text, re.MULTILINE):
        return None  # without YAML being imported
    from ingot.recipe.syntax.document import read_document

    document = read_document(ENVIRONMENTS.absolute(), "environments")
    data = document.data if isinstance(document.data, dict) else {}
    url, owner = data.get("store"), data.get("store_owner")
    if url is None or isinstance(url, dict):  # a dictionary: an environment of that name
        return None
    from ingot.aws.archive.location import ArchiveLocation
    from ingot.aws.archive.shared import BucketStore

    try:
        location = ArchiveLocation.read(str(url))
    except InputError as error:
        problem = document.problem(("store",), repr(url), "a bucket and a prefix", error.hint)
        raise InputError("the shared store cannot be used", problems=[problem]) from error
    if owner is not None and not re.fullmatch(r"\d{12}", owner if isinstance(owner, str) else ""):
        problem = document.problem(("store_owner",), repr(owner), "an account id of 12 digits, in quotes")
        raise InputError("the shared store cannot be used", problems=[problem])
    return BucketStore(location, owner)


@contextmanager
def _open_s3(bucket: str, key: str) -> Iterator[tuple[int, BinaryIO]]:
    from ingot.aws.session.objects import open_object  # boto3: not for each bake

    with open_object(bucket, key) as stream:
        yield stream
