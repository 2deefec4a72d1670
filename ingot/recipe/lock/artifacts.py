"""Artifacts in a lock: what each address of the recipe held when it was locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ingot.errors import Problem
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.values import ArtifactUrl, Digest

# What a package that the recipe names by its address has in place of the name of an archive.
ARTIFACT = "artifact"
# Bytes: what S3 takes in one request, by which an artifact comes to a builder instance.
MAX_ARTIFACT = 5 << 30


class LockedArtifact(BaseModel):
    """A file that the recipe names by its address."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    url: ArtifactUrl
    sha256: Digest
    size: Annotated[int, Field(ge=0, le=MAX_ARTIFACT)]
    """Bytes."""


@dataclass(frozen=True)
class FetchedArtifact:
    """An artifact to be locked, and, when it is a package to install, its file on this machine."""

    locked: LockedArtifact
    package: Path | None = None


def stale_artifacts(recipe: Recipe, locked: Sequence[LockedArtifact], command: str) -> list[Problem]:
    """Return where the recipe's artifacts and those of its lock do not belong together."""
    by_url = {artifact.url: artifact for artifact in locked}
    found = []
    for number, artifact in enumerate(recipe.artifacts):
        known = by_url.pop(artifact.url, None)
        at = ("artifacts", number)
        if known is None:
            what = f"the lock lacks the artifact {artifact.url}"
            found.append(recipe.problem((*at, "url"), what, hint=command))
        elif artifact.sha256 not in (None, known.sha256):
            what = f"the recipe says sha256 {artifact.sha256}, and the lock {known.sha256}"
            found.append(recipe.problem((*at, "sha256"), what, hint=command))
    for url in by_url:
        what = f"the lock has the artifact {url}, and the recipe does not"
        found.append(recipe.problem(("artifacts",), what, hint=command))
    return found


def moved_artifacts(old: Sequence[LockedArtifact], new: Sequence[LockedArtifact]) -> list[str]:
    """Return one line for each artifact that the new lock adds, removes or takes with another content."""
    before, after = _digests(old), _digests(new)
    lines = []
    for url in sorted(before.keys() | after.keys()):
        if url not in before:
            lines.append(f"+ {url} {after[url][:12]}")
        elif url not in after:
            lines.append(f"- {url}")
        elif before[url] != after[url]:
            lines.append(f"  {url} {before[url][:12]} -> {after[url][:12]}")
    return lines


def _digests(artifacts: Sequence[LockedArtifact]) -> Mapping[str, str]:
    return {artifact.url: artifact.sha256 for artifact in artifacts}
