"""``ingot lock`` for a recipe on a base AMI: which AMI that is in this region is asked of AWS."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from ingot.recipe.lock.ami import AmiLock, LockedAmi, source_of
from ingot.recipe.lock.file import read_ami_lock

if TYPE_CHECKING:
    from ingot.recipe.schema.model import Recipe


def resolve_ami(recipe: Recipe, *, upgrade: bool) -> tuple[AmiLock | None, AmiLock]:
    """Return the old lock and the new one, with the AMI of the current region; nothing is written.

    An AMI that the lock has stays, unless ``upgrade`` or the recipe asks for another one; those of other regions stay in any case, unless
    the recipe asks for another one.
    """
    from ingot.aws.builder.base_ami import look_up
    from ingot.aws.session.clients import connect
    from ingot.aws.session.failures import translated

    old = read_ami_lock(recipe)
    same = old is not None and old.source == source_of(recipe) and old.architecture == recipe.architecture
    kept = dict(old.ami) if same and old is not None else {}
    with translated():
        clients = connect()
        if upgrade or clients.region not in kept:
            found = look_up(clients, json.loads(source_of(recipe)), recipe.architecture)
            kept[clients.region] = LockedAmi.model_validate(found)
    epoch = max(_seconds(ami.created) for ami in kept.values())
    new = AmiLock(format=1, architecture=recipe.architecture, source=source_of(recipe), epoch=epoch, ami=kept)
    return old, new


def _seconds(created: str) -> int:
    return int(dt.datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp())
