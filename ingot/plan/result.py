"""A plan: everything that a merge would do, as reports show it and as `ingot plan --json` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingot.forge.git import BaseRevision as BaseRevision  # reports read and show it, too
from ingot.plan.boots import BootRecord
from ingot.plan.images import ImagePlan
from ingot.plan.infrastructure.stacks import StackPlan
from ingot.plan.recipes import RecipeChange
from ingot.plan.rollout import Rollout

FORMAT = 1
NOTHING, SOMETHING, DANGEROUS = "nothing", "something", "dangerous"


@dataclass(frozen=True)
class Plan:
    """What a merge would do.

    ``notes``: what could not be compared, and what is peculiar about this comparison.

    ``verdict`` is nothing, something or dangerous; ``dangerous`` has a sentence for each dangerous change.
    ``deployed``: stacks are compared with those that are deployed, not with the base revision's.
    """

    verdict: str
    dangerous: tuple[str, ...]
    base: BaseRevision
    head: str
    dirty: tuple[str, ...]
    deployed: bool
    notes: tuple[str, ...]
    recipes: tuple[RecipeChange, ...]
    images: tuple[ImagePlan, ...]
    stacks: tuple[StackPlan, ...]
    rollouts: tuple[Rollout, ...]
    boots: tuple[BootRecord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON's types."""
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "dangerous": list(self.dangerous),
            "base": {"commit": self.base.commit, "how": self.base.how},
            "head": {"commit": self.head, "dirty": list(self.dirty)},
            "against": "deployed" if self.deployed else "base",
            "notes": list(self.notes),
            "recipes": [recipe.to_json() for recipe in self.recipes],
            "images": [image.to_json() for image in self.images],
            "stacks": [stack.to_json() for stack in self.stacks],
            "rollouts": [rollout.to_json() for rollout in self.rollouts],
            "boots": [boot.to_json() for boot in self.boots],
        }


def dangers_of(images: Sequence[ImagePlan], stacks: Sequence[StackPlan]) -> tuple[str, ...]:
    """Return a sentence for each danger: images that do not bake, the infrastructure's, the images'."""
    dangers = [f"image {image.recipe}: {image.no_diff}" for image in images if image.state == "failed"]
    dangers += [sentence for stack in stacks for sentence in stack.dangerous]
    for image in images:
        if image.diff is not None:
            dangers += [f"image {image.recipe}: {sentence}" for sentence in image.diff.dangerous]
    return tuple(dangers)


def verdict_of(
    dangerous: Sequence[str],
    recipes: Sequence[RecipeChange],
    stacks: Sequence[StackPlan],
    notes: Sequence[str],
) -> str:
    """Return nothing, something or dangerous."""
    if dangerous:
        return DANGEROUS
    changes = [*(recipe.change for recipe in recipes), *(stack.change for stack in stacks)]
    return SOMETHING if notes or any(change != "same" for change in changes) else NOTHING
