"""The reference, made from the code: what takes the place of a page's marker."""

from __future__ import annotations

from collections.abc import Callable

from tools.site.reference.commands import commands
from tools.site.reference.constructs import constructs
from tools.site.reference.recipe import recipe_keys
from tools.site.reference.settings import settings

GENERATORS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "constructs": constructs,
    "recipe": recipe_keys,
    "settings": settings,
}


def fill(name: str) -> str:
    """Return the Markdown of one generated part; raise KeyError when there is none of the name."""
    return GENERATORS[name]()
