"""The lock of a recipe on a base AMI: which AMI it is in each region, whose, and of which day."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ingot.errors import Problem
from ingot.recipe.lock.artifacts import LockedArtifact, moved_artifacts, stale_artifacts
from ingot.recipe.schema.model import Recipe


class _AmiLockPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class LockedAmi(_AmiLockPart):
    """One AMI. ``owner`` is the account's id, ``created`` what EC2 says of it, ``root_size`` GiB."""

    id: Annotated[str, Field(pattern=r"^ami-[0-9a-f]{8,17}$")]
    owner: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    name: str
    created: str
    root_device: str
    root_size: Annotated[int, Field(gt=0, le=65536)]
    boot_mode: str


class AmiLock(_AmiLockPart):
    """The whole lock.

    It names no package: the base's own package manager installs what its repositories have on that day.
    """

    format: Literal[1]
    architecture: Literal["x86_64", "arm64"]
    source: str
    """What of the recipe was looked up, as JSON."""
    epoch: Annotated[int, Field(gt=0, le=2**32 - 1)]
    """Unix seconds: when the newest of the AMIs was made."""
    ami: Annotated[dict[str, LockedAmi], Field(min_length=1)]
    """By region."""
    artifacts: tuple[LockedArtifact, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the lock as plain JSON data."""
        plain = self.model_dump(mode="json")
        if not self.artifacts:
            del plain["artifacts"]
        return plain

    def text(self) -> str:
        """Return the lock as it is written."""
        return json.dumps(self.plain(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def source_of(recipe: Recipe) -> str:
    """Return what the recipe says of its base AMI, as the lock keeps it."""
    ami = recipe.base.ami
    return "" if ami is None else json.dumps(ami.model_dump(exclude_none=True), sort_keys=True)


def stale(recipe: Recipe, lock: AmiLock, command: str) -> list[Problem]:
    """Return where recipe and lock do not belong together."""
    found = []
    if lock.source != source_of(recipe):
        found.append(
            recipe.problem(("base", "ami"), f"the lock was made for another AMI, {lock.source}", hint=command)
        )
    if lock.architecture != recipe.architecture:
        what = f"the recipe is for {recipe.architecture}, and the lock for {lock.architecture}"
        found.append(recipe.problem(("architecture",), what, hint=command))
    return found + stale_artifacts(recipe, lock.artifacts, command)


def moved(old: AmiLock | None, new: AmiLock) -> list[str]:
    """Return one line for each region whose AMI the new lock adds, removes or moves."""
    before: Mapping[str, LockedAmi] = {} if old is None else old.ami
    lines = []
    for region in sorted(before.keys() | new.ami.keys()):
        if region not in before:
            lines.append(f"+ {region} {new.ami[region].id} {new.ami[region].name}")
        elif region not in new.ami:
            lines.append(f"- {region} {before[region].id}")
        elif before[region] != new.ami[region]:
            lines.append(f"  {region} {before[region].id} -> {new.ami[region].id} {new.ami[region].name}")
    return lines + moved_artifacts(() if old is None else old.artifacts, new.artifacts)
