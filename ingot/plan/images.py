"""The images of a plan: which of them exist, which have to be baked, and what differs inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ingot.errors import BakeError, IngotError, InputError
from ingot.plan.recipes import RecipeChange
from ingot.progress import Progress
from ingot.recipe.schema.model import Recipe
from ingot.store import Image, Store

if TYPE_CHECKING:
    from ingot.diff.compare import ImageDiff

# The AMI that the registry names for a recipe and its digest; None when it names none. Raises NotAsked.
Registry = Callable[[str, str], str | None]


class NotAsked(IngotError):  # noqa: N818 - no failure of the plan, which goes on without
    """The registry could not be asked; the message says why."""


Differ = Callable[[Image, Image], "ImageDiff"]
ON_AMI = (
    "it is baked on its base AMI, by a builder instance, and proved when it is deployed; "
    "`ingot diff` then compares it with the one before"
)


@dataclass(frozen=True)
class ImagePlan:
    """What happens to the image of one recipe.

    ``state``: published (the registry names its AMI), stored (baked, on this machine), missing (a deployment
    bakes it), unused (missing, and no stack deploys it), or failed (it was to be baked and could not:
    ``no_diff`` says why).
    """

    recipe: str
    environment: str | None
    before: str | None
    after: str
    state: str
    ami: str | None
    asked: bool
    """Whether a registry was asked; if not, an image that is missing here may be published all the same."""
    diff: ImageDiff | None = None
    no_diff: str | None = None
    """Why there is no diff, and how to get it."""
    on_ami: bool = False
    """Whether it is baked on a base AMI, which takes a builder instance."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "recipe": self.recipe,
            "environment": self.environment,
            "before": self.before,
            "after": self.after,
            "state": self.state,
            "ami": self.ami,
            "registry_asked": self.asked,
            "diff": None if self.diff is None else self.diff.to_json(),
            "no_diff": self.no_diff,
            "on_ami": self.on_ami,
        }


def unused(image: ImagePlan) -> ImagePlan:
    """Return the plan of an image that no stack deploys: one that is missing is not baked by a deployment."""
    return replace(image, state="unused") if image.state == "missing" else image


@dataclass(frozen=True)
class Images:
    """Makes the image part of a plan. ``bake``: whether what is missing is baked, of both revisions."""

    store: Store
    bake: bool
    registry: Registry | None
    differ: Differ | None
    progress: Progress

    def plan(
        self,
        change: RecipeChange,
        sides: tuple[Mapping[str, Recipe], Mapping[str, Recipe]],
        note: Progress,
    ) -> ImagePlan:
        """Return what happens to the image of a recipe that is there after the change.

        ``sides``: the recipes before and after; ``note`` takes what could not be told.
        """
        assert change.after is not None  # noqa: S101 - the caller leaves deleted recipes out
        # Only a builder instance can bake on a base AMI, and a plan starts none: that is for a deployment.
        is_on_ami = sides[1][change.name].base.ami is not None
        if self.bake and change.change != "same" and not is_on_ami:
            try:
                self._bake(sides[1][change.name])
            except (BakeError, InputError) as error:
                return _failed(change, f"it does not bake: {error}")
        ami, asked = self._published(change.name, change.after, note)
        stored = self.store.image(change.after)
        state = "published" if ami else "stored" if stored else "missing"
        diff: ImageDiff | None = None
        no_diff: str | None = None
        if change.change != "same":
            diff, no_diff = (None, ON_AMI) if is_on_ami else self._diff(change, sides[0], stored)
        sides_of_it = (change.before, change.after)
        return ImagePlan(
            change.name, change.environment, *sides_of_it, state, ami, asked, diff, no_diff, is_on_ami
        )

    def _published(self, name: str, digest: str, note: Progress) -> tuple[str | None, bool]:
        """Return the AMI, and whether a registry was asked for it."""
        if self.registry is None:
            return None, False
        try:
            return self.registry(name, digest), True
        except NotAsked as error:
            note(error.message)
            return None, False

    def _diff(
        self, change: RecipeChange, before: Mapping[str, Recipe], after: Image | None
    ) -> tuple[ImageDiff | None, str | None]:
        """Return the diff, or None and why there is none."""
        if change.before is None:
            return None, "the image is the first of its recipe: there is nothing to compare it with"
        how = "`ingot plan --bake` bakes it and compares"
        if after is None:
            return None, f"the image {change.after or '':.12} is not baked on this machine; {how}"
        old = self.store.image(change.before)
        if old is None and self.bake:
            try:
                old = self._bake(before[change.was or change.name])
            except IngotError as error:
                # The change can repair what does not bake; it must be possible to review it.
                return None, f"the image of the base revision does not bake: {error.message}"
        if old is None:
            return None, f"the image of the base revision, {change.before:.12}, is not on this machine; {how}"
        if self.differ is None:
            return None, "this program cannot compare images"
        try:
            return self.differ(old, after), None
        except InputError as error:
            return None, f"the images cannot be compared: {error}"

    def _bake(self, recipe: Recipe) -> Image:
        return self.store.bake(recipe, self.progress)


def _failed(change: RecipeChange, why: str) -> ImagePlan:
    return ImagePlan(
        change.name, change.environment, change.before, str(change.after), "failed", None, False, None, why
    )
