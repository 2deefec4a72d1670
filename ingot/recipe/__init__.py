"""Recipes: what an image is made of. Pure: no AWS, no root, and no network but for ``ingot lock``.

::

    recipe.yaml ─ load ─► Recipe ─┬─ lock   ─► recipe.lock    (apt's signed index, once)
                                  ├─ digest ─► recipe digest  (the identity of the image)
                                  └─ compile ► bake spec      (ingot.spec, what the engine executes)
"""

from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, find_recipes, load_recipe
from ingot.recipe.lock.file import load_lock
from ingot.recipe.lock.mirrors import discover
from ingot.recipe.lock.resolve import resolve_lock
from ingot.recipe.schema.model import Recipe

__all__ = [
    "Recipe",
    "compile_spec",
    "discover",
    "find_recipe",
    "find_recipes",
    "load_lock",
    "load_recipe",
    "recipe_digest",
    "resolve_lock",
]
