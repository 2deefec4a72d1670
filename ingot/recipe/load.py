"""Reads recipes from disk and validates them in full: all problems at once, each with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ingot.errors import InputError, Problem
from ingot.recipe.lock.archives import read_archives
from ingot.recipe.schema.model import Recipe, RecipeSource
from ingot.recipe.schema.references import check_references
from ingot.recipe.sources.files import expand_files
from ingot.recipe.syntax.document import At, Document, Plain, pruned
from ingot.recipe.syntax.explain import close_to, problems_of
from ingot.recipe.syntax.include import RECIPE_FILE, read_with_includes
from ingot.recipe.syntax.variables import environments_of, put_in, read_variables, spelt

__all__ = [
    "RECIPE_FILE",
    "environments",
    "find_recipe",
    "find_recipes",
    "load_recipe",
    "load_recipe_to_lock",
    "read_recipe",
]


# How many problems are reported at once.
MAX_PROBLEMS = 100


def find_recipes(root: Path) -> dict[str, Path]:
    """Return the recipes below ``root`` (``image_recipes``): name of the directory → recipe.yaml."""
    if not root.is_dir():
        raise InputError(
            f"no directory {root}: recipes are in image_recipes/NAME/recipe.yaml",
            hint="run this at the top of the project, or name the directory with --recipes",
        )
    return {path.parent.name: path for path in sorted(root.glob(f"*/{RECIPE_FILE}"))}


def find_recipe(root: Path, name: str) -> Path:
    """Return the path of one recipe by its name; raise InputError with near names when there is none."""
    recipes = find_recipes(root)
    if name not in recipes:
        known = ", ".join(recipes) or "none"
        raise InputError(f"no recipe {name!r} in {root}; there is: {known}", hint=close_to(name, recipes))
    return recipes[name]


def load_recipe(path: Path, environment: str | None = None) -> Recipe:
    """Return the recipe at ``path`` (recipe.yaml or its directory), its variables as ``environment`` sets
    them.

    Raises InputError that holds every problem of the recipe: form, keys, types, names, and files that are
    missing or leave the recipe's directory. Nothing but reading is done.
    """
    return _whole(path, *read_recipe(path, environment))


def read_recipe(path: Path, environment: str | None = None) -> tuple[Recipe | None, list[Problem]]:
    """Return the recipe likewise, and every problem of it.

    A recipe with problems is only the part of it that is right: good for more checks, and for nothing else.
    """
    return _read(path, environment, stands_for=environment)


def load_recipe_to_lock(path: Path, environment: str | None = None) -> Recipe:
    """Return the recipe whose lock is to be made: that of all environments when none is named.

    Where a variable has no value without an environment, the first one lends its values.
    """
    if environment is not None or None in (known := environments(path)):
        return load_recipe(path, environment)
    return _whole(path, *_read(path, known[0], stands_for=None))


def _whole(path: Path, recipe: Recipe | None, problems: list[Problem]) -> Recipe:
    if recipe is None or problems:
        raise InputError(f"{path}: the recipe has problems", problems=problems)
    return recipe


def _read(
    path: Path, environment: str | None, *, stands_for: str | None
) -> tuple[Recipe | None, list[Problem]]:
    """Read a recipe with the values of ``environment``, as that of the environment ``stands_for``."""
    if path.is_dir():
        path = path / RECIPE_FILE
    # Absolute, so that the recipe stays readable when the working directory changes.
    document, variables = read_variables(read_with_includes(path.absolute()), environment)
    document, typed = put_in(document, variables)
    problems = list(document.problems)
    if document.data is None:
        return None, problems
    source = RecipeSource(_spelt_where_text(document, typed), variables, stands_for)
    recipe = _validate(source, problems)
    if recipe is not None:
        # A name that is wrong as it stands need not be declared as well.
        known = {(problem.file, problem.line, problem.column) for problem in problems}
        problems += [p for p in check_references(recipe) if (p.file, p.line, p.column) not in known]
        for one in (recipe, *(recipe.stage(name) for name in recipe.stages)):
            expand_files(one, problems)
        read_archives(recipe, problems)
    return recipe, _first(problems)


def _first(problems: list[Problem]) -> list[Problem]:
    """Return the problems in the order of their places, no more of them than somebody reads."""
    ordered = sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))
    if len(ordered) <= MAX_PROBLEMS:
        return problems
    rest, left = ordered[MAX_PROBLEMS], len(ordered) - MAX_PROBLEMS
    found = f"{left} more problem{'' if left == 1 else 's'}, the first of them here"
    return [
        *ordered[:MAX_PROBLEMS],
        replace(rest, found=found, expected="", hint="fix those above first"),
    ]


def environments(path: Path) -> list[str | None]:
    """Return every environment that the recipe at ``path`` can be read in; None stands for "without one"."""
    document = read_with_includes((path / RECIPE_FILE if path.is_dir() else path).absolute())
    return environments_of(document)


def _spelt_where_text(document: Document, typed: set[At]) -> Document:
    """Return the document with numbers that came from variables as text where the model wants text."""
    try:
        Recipe.model_validate(_as_tuples(document.data))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return spelt(document, typed & {at["loc"] for at in errors if at["type"] == "string_type"})
    return document


def _as_tuples(value: Plain) -> Plain:
    """Return data of YAML with tuples in place of its lists: a strict model takes no list for a tuple."""
    if isinstance(value, dict):
        return {key: _as_tuples(item) for key, item in value.items()}
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


def _validate(source: RecipeSource, problems: list[Problem]) -> Recipe | None:
    """Return the recipe, or what of it is right, so that the rest can be checked as well.

    Each round takes away the values that are wrong; when a key is missing, the mapping around it goes. The
    caller raises when there are problems: a recipe that lost a part is never used.
    """
    document = source.document
    known = {(problem.file, problem.line, problem.column) for problem in problems}
    while True:
        try:
            return Recipe.model_validate(
                _as_tuples(document.data), context=replace(source, document=document)
            )
        except ValidationError as error:
            if document is source.document:
                # A value whose variable is unknown is wrong as well, but for that reason alone.
                found = problems_of(error, document, Recipe)
                problems += [p for p in found if (p.file, p.line, p.column) not in known]
            before, document = document.data, _without_wrong_parts(document, error)
            # A stand-in is wrong itself where the directory's name is no name of a recipe: another round
            # would be the same.
            if document.data is None or document.data == before:
                return None


def _without_wrong_parts(document: Document, error: ValidationError) -> Document:
    """Return the document without what the error names, with stand-ins for the keys that are required."""
    instead: dict[At, str] = {}
    wrong: set[At] = set()
    for details in error.errors(include_url=False):
        at: At = tuple(details["loc"])
        # Of an entry whose target is wrong the source can be looked at all the same.
        if at[:1] in (("files",), ("app",)) and at[-1] == "target":
            instead[at] = f"/{'-'.join(map(str, at))}"
        else:
            wrong.add(_wrong_part(document, details))
    if not isinstance(document.data, dict):
        return Document(document.path)
    name = document.path.parent.resolve().name
    needed = {"name": name, "base": {"debian": "bookworm"}, "root_volume": {"size": "2GiB"}}
    left = pruned(document, wrong - {()}, instead)
    return replace(left, data={**needed, **left.data} if isinstance(left.data, dict) else None)


def _wrong_part(document: Document, details: ErrorDetails) -> At:
    """Return the value that an error is about: for a missing key the mapping, for a short form all of it."""
    at: At = tuple(details["loc"])
    while at not in document.values:
        at = at[:-1]
    return at
