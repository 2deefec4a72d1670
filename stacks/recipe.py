"""The recipe that the settings name, in their environment."""

from __future__ import annotations

from ingot.constructs.image.golden_image import RECIPES
from ingot.recipe.load import environments, find_recipe, load_recipe
from ingot.recipe.schema.model import Recipe
from stacks.config import Config


def load(config: Config) -> Recipe:
    """Return the recipe; raise InputError when it has problems, or environments but not this one.

    A recipe without environments is the same image in all of them.
    """
    path = find_recipe(RECIPES, config.recipe)
    differs = config.env is not None and any(environments(path))
    return load_recipe(path, config.env if differs else None)
