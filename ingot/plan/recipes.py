"""Which recipe digests change between two trees of the project, and why."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.errors import InputError
from ingot.forge.git import Repository
from ingot.plan.reasons import Form, Reason, reasons
from ingot.progress import Progress
from ingot.quantities import number
from ingot.recipe.digest import canonical_form, digest_of_form, used_files
from ingot.recipe.load import environments, find_recipes, load_recipe
from ingot.recipe.lock.file import load_lock
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.expander import is_ignored

# As git's default for renames (git-diff(1), -M): half of it the same.
SIMILAR = 0.5


@dataclass(frozen=True)
class Identified:
    """A recipe in one tree: its digest, and what the digest is of."""

    digest: str
    form: Form

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.form.recipe


@dataclass(frozen=True)
class RecipeTree:
    """The recipes of one tree, in one environment.

    ``broken``: recipes that cannot be read, and what is wrong with them. ``elsewhere``: those that this
    environment has nothing of, and the environments that they can be read in.
    """

    recipes: dict[str, Identified]
    broken: dict[str, str]
    elsewhere: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class RecipeChange:
    """What happens to one recipe.

    ``change``: same, changed, added, deleted, renamed, or repaired (it could not be read before).
    """

    name: str
    environment: str | None
    change: str
    before: str | None
    after: str | None
    was: str | None
    """The recipe that it was renamed from, or is based on."""
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "environment": self.environment,
            "change": self.change,
            "before": self.before,
            "after": self.after,
            "was": self.was,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


def read_tree(root: Path, recipes: Path, environment: str | None, *, tolerant: bool) -> RecipeTree:
    """Return the recipes below ``root / recipes``; none where that directory does not exist.

    ``tolerant`` notes what is broken instead of raising InputError: an old revision's mistakes are not this
    change's.
    """
    directory = root / recipes
    found: dict[str, Identified] = {}
    broken: dict[str, str] = {}
    elsewhere: dict[str, tuple[str, ...]] = {}
    problems: list[InputError] = []
    for name, path in (find_recipes(directory) if directory.is_dir() else {}).items():
        try:
            known = environments(path)
            # A recipe that does not know the environment is the same in each.
            own = environment if environment in known else None
            if own in known:
                found[name] = identify(path, root, own)
            else:
                elsewhere[name] = tuple(str(other) for other in known)
        except InputError as error:
            problems.append(error)
            broken[name] = str(error)
    if problems and not tolerant:
        raise InputError(
            "\n".join(str(error) for error in problems if not error.problems),
            problems=[problem for error in problems for problem in error.problems],
        )
    return RecipeTree(found, broken, elsewhere)


def lend_ignored(repository: Repository, recipes: Path, before: Path, note: Progress) -> None:
    """Give the checkout ``before`` the files of the recipes that git ignores, as they are here.

    Vendored dependencies are such. They are in no revision, so that all of them would seem new, and the
    digest of the base one that was never built. A file that the base revision has itself stays its own.
    """
    if recipes.is_absolute():
        return
    lent = list[str]()
    for name in repository.ignored(recipes):
        source, target = repository.project / name, before / name
        below = Path(name).relative_to(recipes)
        if is_ignored(below) or len(below.parts) < 2 or not (before / recipes / below.parts[0]).is_dir():
            continue
        # A repository inside this one is named as a directory; its files are not this one's to lend.
        if target.exists() or target.is_symlink() or not (source.is_symlink() or source.is_file()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
        lent.append(name)
    if lent:
        more = f" and {number(len(lent) - 1, 'other file')}" if len(lent) > 1 else ""
        note(f"git ignores {lent[0]}{more}: both revisions are planned with them as they are here")


def identify(path: Path, root: Path, environment: str | None) -> Identified:
    """Return a recipe with its digest. Raises InputError for all that is wrong with it."""
    recipe = load_recipe(path, environment)
    form = canonical_form(recipe, load_lock(recipe), used_files(recipe))
    return Identified(digest_of_form(form), Form(recipe, form, root))


def compare_recipes(before: RecipeTree, after: RecipeTree, environment: str | None) -> list[RecipeChange]:
    """Return what happens to each recipe of either tree, by name."""
    gone = [name for name in before.recipes if name not in after.recipes]
    changes = []
    for name, now in after.recipes.items():
        was = before.recipes.get(name)
        if was is None and name not in before.broken:
            origin = _origin(now, [before.recipes[other] for other in gone])
            if origin is not None:
                gone.remove(origin.recipe.name)
                why = tuple(reasons(origin.form, now.form))
                changes.append(
                    RecipeChange(
                        name, environment, "renamed", origin.digest, now.digest, origin.recipe.name, why
                    )
                )
                continue
        changes.append(_change(name, environment, was, now, before.broken.get(name)))
    deleted = [*gone, *(name for name in before.broken if name not in after.recipes)]
    for name in deleted:
        digest = before.recipes[name].digest if name in before.recipes else None
        changes.append(RecipeChange(name, environment, "deleted", digest, None, None, ()))
    return sorted(changes, key=lambda change: change.name)


def _change(
    name: str, environment: str | None, was: Identified | None, now: Identified, broken: str | None
) -> RecipeChange:
    if was is None:
        why: tuple[Reason, ...] = (
            (Reason(now.form.shown(now.recipe.document.path), f"unreadable before: {broken}"),)
            if broken
            else ()
        )
        return RecipeChange(name, environment, "repaired" if broken else "added", None, now.digest, None, why)
    same = was.digest == now.digest
    why = () if same else tuple(reasons(was.form, now.form))
    return RecipeChange(name, environment, "same" if same else "changed", was.digest, now.digest, None, why)


def _origin(now: Identified, gone: Sequence[Identified]) -> Identified | None:
    """Return the deleted recipe that this new one resembles most, if it is similar enough to be a rename."""
    ratios = [(_ratio(was, now), number) for number, was in enumerate(gone)]
    best = max(ratios, default=(0.0, 0))
    return gone[best[1]] if best[0] >= SIMILAR else None


def _ratio(one: Identified, other: Identified) -> float:
    return difflib.SequenceMatcher(None, _lines(one), _lines(other), autojunk=False).ratio()


def _lines(identified: Identified) -> list[str]:
    """Return the recipe and its files as lines.

    The lock is left out: two recipes of one distribution share most of it.
    """
    form = {key: identified.form.canonical[key] for key in ("recipe", "files")}
    return json.dumps(form, sort_keys=True, indent=0).splitlines()
