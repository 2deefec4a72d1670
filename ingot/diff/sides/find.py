"""Finds the images that `ingot diff` is asked for: by recipe, digest, AMI or git revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.errors import InputError
from ingot.forge.git import Repository
from ingot.progress import Progress
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, find_recipes, load_recipe
from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.explain import close_to
from ingot.store import Image, Store

if TYPE_CHECKING:
    from ingot.diff.sides.fetch import Registry

_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_SHORT = "the beginning of a digest has at least four digits"
_AMI = re.compile(r"ami-[0-9a-f]{8,17}")


@dataclass(frozen=True)
class Found:
    """An image: its manifest and its disk."""

    manifest: Mapping[str, Any]
    disk: Path


@dataclass
class Finder:
    """Finds images in the store, else in the registry, else bakes them when ``may_bake``.

    A context manager: it removes what it fetched.

    ``registry`` connects to AWS; it is called when an image is not in the store.
    """

    store: Store
    recipes: Path
    registry: Callable[[], Registry]
    progress: Progress
    may_bake: bool = False
    environment: str | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _here: dict[str, Found] = field(default_factory=dict)

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def find(self, word: str) -> Found:
        """Return the image that ``word`` names: ``ami-…``, ``REVISION:RECIPE``, a recipe,
        or the beginning of a digest.

        Raises InputError that says what there is, and what would make the image be there.
        """
        if _AMI.fullmatch(word):
            return self._published(word)
        if ":" in word:
            revision, _, name = word.rpartition(":")
            return self.at_revision(revision, name)
        known = find_recipes(self.recipes) if self.recipes.is_dir() else {}
        if word in known:
            return self._of_recipe(load_recipe(known[word], self.environment))
        if _DIGEST.fullmatch(word):
            return self._of_digest(word)
        raise InputError(
            f"no image {word!r}: not a recipe in {self.recipes}, a digest, an AMI or REVISION:RECIPE",
            hint=_SHORT
            if re.fullmatch(r"[0-9a-f]{1,3}", word)
            else close_to(word, known) or f"there is: {', '.join(known) or 'no recipe'}",
        )

    def at_revision(self, revision: str, name: str) -> Found:
        """Return the image of a recipe as it is at a git revision.

        Raises InputError when one of the two does not exist.
        """
        repository = Repository.around(Path.cwd())
        commit = repository.commit(revision)
        with repository.checked_out(commit) as project:
            # The same place in the checkout; a directory outside of the project is not in its history.
            top = project / self.recipes
            if self.recipes.is_absolute() or not top.is_dir():
                raise InputError(f"there is no directory {self.recipes} at {revision}")
            try:
                path = find_recipe(top, name)
            except InputError as error:
                recipes = ", ".join(find_recipes(top)) or "none"
                raise InputError(
                    f"no recipe {name!r} at {revision}; there is: {recipes}", hint=error.hint
                ) from error
            return self._of_recipe(load_recipe(path, self.environment), f"{revision}:{name}")

    def _of_recipe(self, recipe: Recipe, word: str | None = None) -> Found:
        digest = recipe_digest(recipe)
        image = self.store.image(digest)
        if image is not None:
            return _local(image)
        if self.may_bake:
            self.progress(f"baking {recipe.name} {digest[:12]}")
            return _local(self.store.bake(recipe, self.progress))
        missing = f"the image of {word or recipe.name}, {digest[:12]}, is not in the store"
        return self._fetched(
            digest,
            missing,
            f"run `ingot bake {recipe.name}` at that revision, or add --bake"
            if word
            else f"run `ingot bake {recipe.name}`, or add --bake",
        )

    def _of_digest(self, word: str) -> Found:
        images = [image for image in self.store.all_images() if image.digest.startswith(word)]
        if len(images) > 1:
            raise InputError(
                f"{len(images)} images have digests that begin with {word}", hint="give more digits"
            )
        if images:
            return _local(images[0])
        return self._fetched(word, f"no image {word} in the store", "`ingot store ls` lists what is there")

    def _fetched(self, digest: str, missing: str, hint: str) -> Found:
        """Return the published image whose digest begins with ``digest``."""
        try:
            registry = self.registry()
            ami_id = registry.find(digest)
        except InputError as error:
            both = hint if error.hint is None else f"{hint}; else {error.hint}"
            raise InputError(f"{missing}, and {error.message}", hint=both) from error
        if ami_id is None:
            raise InputError(f"{missing}, nor is it published in {registry.region}", hint=hint)
        return self._published(ami_id)

    def _published(self, ami_id: str) -> Found:
        # Both words may name it, and its place is locked while it is in use: it is fetched once.
        if ami_id not in self._here:
            self._here[ami_id] = self._fetch(ami_id)
        return self._here[ami_id]

    def _fetch(self, ami_id: str) -> Found:
        registry = self.registry()
        digest, root_digest = registry.digests(ami_id)
        image = self.store.image(digest)
        # The local image is the AMI's when their bytes are the same; if not, what is published counts.
        if image is not None and image.root_digest == root_digest:
            return _local(image)
        manifest, disk = self._open.enter_context(registry.fetched(ami_id, self.store, self.progress))
        # The manifest of a bake elsewhere may be here without its disk; it says more than one that is made
        # from the disk.
        kept = self.store.manifest(digest)
        same = kept is not None and kept["disk"]["root_digest"] == manifest["disk"]["root_digest"]
        return Found(kept if kept is not None and same else manifest, disk)


def _local(image: Image) -> Found:
    return Found(image.manifest, image.disk)
