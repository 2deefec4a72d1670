"""Comparing two images that recipes, digests, AMIs or Git revisions name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.pipeline.bake import open_store
from ingot.plan.boots import FORMAT, BootRecord
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.diff.compare import ImageDiff
    from ingot.diff.sides.fetch import Registry


@dataclass(frozen=True)
class DiffOptions:
    """The images ``before`` and ``after``, each named in any of the ways of `ingot diff`.

    ``recipe``: then both are Git revisions of it. ``bake`` bakes what the store lacks. ``changelogs`` reads
    those of packages.
    """

    before: str
    after: str
    recipe: str | None = None
    environment: str | None = None
    bake: bool = False
    changelogs: bool = True
    recipes: Path = RECIPES


def diff(options: DiffOptions, progress: Progress) -> ImageDiff:
    """Return what differs between two images; raise InputError for one that is not found."""
    from ingot.diff.compare import image_diff
    from ingot.diff.sides.find import Finder

    store = open_store()
    finder = Finder(
        store,
        options.recipes,
        _registry,
        progress,
        may_bake=options.bake,
        environment=options.environment,
    )
    with finder:
        before, after = (
            finder.find(word) if options.recipe is None else finder.at_revision(word, options.recipe)
            for word in (options.before, options.after)
        )
        return image_diff(
            before.manifest,
            after.manifest,
            before_disk=before.disk,
            after_disk=after.disk,
            packages=store.packages if options.changelogs else None,
        )


def read_boots(files: Sequence[Path]) -> list[BootRecord]:
    """Return records of boots; raise InputError for a file that is none."""
    records = []
    for file in files:
        try:
            plain = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is not the record of a boot: {error}") from error
        hint = "make one with: ingot boot --record FILE"
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise InputError(f"{file} is not the record of a boot", hint=hint)
        try:
            records.append(BootRecord.from_json(plain))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{file} is not the record of a boot: {error!r}", hint=hint) from error
    return records


def _registry() -> Registry:
    from ingot.aws.session.clients import connect
    from ingot.diff.sides.fetch import Registry

    return Registry(connect())
