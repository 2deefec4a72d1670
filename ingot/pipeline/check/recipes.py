"""Checking recipes in their environments: the recipe, its lock, the hygiene of its files, its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import paths
from ingot.errors import InputError, Problem
from ingot.pipeline.check.hygiene import hygiene_problems
from ingot.pipeline.check.size import size_problem
from ingot.recipe.advice import end_of_life_root, unbounded_logs
from ingot.recipe.load import environments, find_recipe, find_recipes, read_recipe
from ingot.recipe.lock.file import Lock, load_lock, problems_beside


@dataclass(frozen=True)
class Checked:
    """A recipe in an environment, or without one: what is wrong with it, and what may be."""

    name: str
    environment: str | None
    error: InputError | None
    warnings: tuple[Problem, ...] = ()


def check_recipes(recipes: Path, names: Sequence[str], environment: str | None) -> Iterator[Checked]:
    """Check the recipes that are named, all without names; in ``environment``, else in each of their own.

    Raises InputError when there is no such recipe.
    """
    paths_of = {name: find_recipe(recipes, name) for name in names} if names else find_recipes(recipes)
    if not paths_of:
        raise InputError(f"no recipe in {recipes}: recipes are in {recipes}/NAME/recipe.yaml")
    packages = paths.store() / "packages"
    for name, path in paths_of.items():
        for one in environments(path) if environment is None else [environment]:
            try:
                warnings = _check(path, one, packages)
            except InputError as error:
                yield Checked(name, one, error)
            else:
                yield Checked(name, one, None, tuple(warnings))


def warnings_of(checked: Iterable[Checked]) -> list[Problem]:
    """Return all warnings; what may be wrong in every environment is said once."""
    return list(dict.fromkeys(problem for one in checked for problem in one.warnings))


def require_sound(checked: Iterable[Checked]) -> None:
    """Raise InputError for all that is wrong; what is wrong in every environment is said once."""
    failed = [one.error for one in checked if one.error is not None]
    if failed:
        raise InputError(
            "\n".join(str(error) for error in failed if not error.problems),
            problems=dict.fromkeys(problem for error in failed for problem in error.problems),
        )


def _check(path: Path, environment: str | None, packages: Path) -> list[Problem]:
    """Raise InputError for all that is wrong with a recipe; return what may be."""
    recipe, problems = read_recipe(path, environment)
    if recipe is None or problems:
        more = [] if recipe is None else problems_beside(recipe, problems)
        raise InputError(f"{path}: the recipe has problems", problems=[*problems, *more])
    # A base AMI's lock is made with the account's credentials: a recipe can be checked before that.
    lock = load_lock(recipe) if recipe.base.ami is None or recipe.lock_path.is_file() else None
    findings = hygiene_problems(recipe)
    size = size_problem(recipe, lock, packages) if isinstance(lock, Lock) else None
    if size is not None:
        findings.append(size)
    # A step may remove files: then only the bake can tell.
    if findings and not recipe.steps:
        raise InputError(findings[0].found, problems=findings)
    logs = unbounded_logs(recipe, lock) if isinstance(lock, Lock) else ()
    return [*findings, *end_of_life_root(recipe), *logs]
