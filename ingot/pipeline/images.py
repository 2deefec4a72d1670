"""Which image of the store a word on the command line names."""

from __future__ import annotations

import re
from pathlib import Path

from ingot.errors import InputError
from ingot.pipeline.bake import open_store
from ingot.progress import Progress
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, find_recipes, load_recipe
from ingot.store import Image, Store

DIGEST = re.compile(r"[0-9a-f]{64}")


def stored_image(digest: str) -> Image:
    """Return the image with this recipe digest; raise InputError when it is not in the store."""
    image = Store().image(digest)
    if image is None:
        raise InputError(
            f"the store has no image with the recipe digest {digest}", hint="list them with: ingot store"
        )
    return image


def baked_image(name: str, recipes: Path, environment: str | None, progress: Progress) -> Image:
    """Return the image with that digest, or of the recipe of that name, baked unless the store has it."""
    if DIGEST.fullmatch(name):
        return stored_image(name)
    return open_store().bake(load_recipe(find_recipe(recipes, name), environment), progress)


def known_image(name: str, recipes: Path, environment: str | None) -> Image:
    """Return what is known of the image of a recipe, or of a digest that begins so; nothing is baked.

    Raises InputError when there is none.
    """
    known = find_recipes(recipes) if recipes.is_dir() else {}
    if name not in known:
        return Store().find(name)
    recipe = load_recipe(known[name], environment)
    digest = recipe_digest(recipe)
    image = Store().known(digest)
    if image is None:
        how = f"run `ingot {'bake' if recipe.base.ami is None else 'publish'} {name}`"
        raise InputError(f"{name} {digest[:12]} is not baked yet", hint=how)
    return image
