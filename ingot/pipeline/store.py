"""The store of this machine: which image a word on the command line names, and what a collection leaves."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ingot import cloud_record
from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.pipeline.bake import open_store
from ingot.progress import Progress
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, find_recipes, load_recipe
from ingot.store import Image, Store
from ingot.store.gc import Bounds, Removed, collect, usage
from ingot.store.pack import Unpacked, pack, unpack

DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageChoice:
    """The image that a word names: a recipe below ``recipes``, in its ``environment``, or a recipe digest."""

    name: str
    recipes: Path = RECIPES
    environment: str | None = None


@dataclass(frozen=True)
class StoreCollection:
    """What a collection removed, and the bytes of the store that are left."""

    removed: Removed
    left: int


def stored_image(digest: str) -> Image:
    """Return the image with this recipe digest; raise InputError when it is not in the store."""
    image = Store().image(digest)
    if image is None:
        raise InputError(
            f"the store has no image with the recipe digest {digest}", hint="list them with: ingot store"
        )
    return image


def baked_image(choice: ImageChoice, progress: Progress) -> Image:
    """Return the image with that digest, or of the recipe of that name, baked unless the store has it."""
    if DIGEST.fullmatch(choice.name):
        return stored_image(choice.name)
    recipe = load_recipe(find_recipe(choice.recipes, choice.name), choice.environment)
    return open_store().bake(recipe, progress)


def known_image(choice: ImageChoice) -> Image:
    """Return what is known of the image of a recipe, or of a digest that begins so; nothing is baked.

    Raises InputError when there is none.
    """
    known = find_recipes(choice.recipes) if choice.recipes.is_dir() else {}
    if choice.name not in known:
        return Store().find(choice.name)
    recipe = load_recipe(known[choice.name], choice.environment)
    digest = recipe_digest(recipe)
    image = Store().known(digest)
    if image is None:
        how = f"run `ingot {'bake' if recipe.base.ami is None else 'publish'} {choice.name}`"
        raise InputError(f"{choice.name} {digest[:12]} is not baked yet", hint=how)
    return image


def collect_store(bounds: Bounds, progress: Progress) -> StoreCollection:
    """Remove what is beyond ``bounds`` and not in use; the images of the local cloud that runs stay, too."""
    store = Store()
    wanted = {*bounds.wanted, *_in_local_cloud()}
    removed = collect(store, replace(bounds, wanted=wanted), progress)
    return StoreCollection(removed, sum(part.size for part in usage(store)))


def pack_store(archive: Path, progress: Progress) -> int:
    """Write packages, layers and images to one file; return its size in bytes."""
    return pack(Store(), archive, progress)


def unpack_store(archive: Path, progress: Progress) -> Unpacked:
    """Put a packed store into this machine's; return what is new in it."""
    return unpack(Store(), archive, progress)


def _in_local_cloud() -> set[str]:
    """Return the recipe digests of the AMIs in the local cloud, if it runs.

    Its snapshots' manifests are in this store alone.
    """
    record = cloud_record.running()
    if record is None or not record.ready():
        return set()
    os.environ.update(cloud_record.no_proxy(os.environ))
    from ingot.aws.session import tags
    from ingot.aws.session.clients import connect_to_local_cloud

    amis = connect_to_local_cloud(record).ec2.describe_images(Owners=["self"])["Images"]
    return {image_tags[tags.DIGEST] for image in amis if tags.DIGEST in (image_tags := tags.tags_of(image))}
