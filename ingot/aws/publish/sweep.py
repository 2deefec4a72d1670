"""After a crash: what earlier publishes of a recipe left behind is removed, or kept where it was as good as done."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.aws.publish import ami
from ingot.aws.publish.journal import Journal, Resource, Target, dead_journals
from ingot.aws.publish.orphans import KNOWN_AFTER, OLD, find_tagged, remove_all
from ingot.aws.session import tags
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


def sweep(clients: Clients, own: Journal, directory: Path, target: Target, progress: Progress) -> None:
    """Remove what dead publishes of this recipe left: by their journals, by their tags, and by age.

    A publish is dead when its journal can be locked (``own`` was locked by the caller). Resources in progress without a journal
    here are another machine's: they are left alone until no publish can take so long any more.
    """
    if own.publish_id:
        _finish_off(clients, own, progress)
    for journal in dead_journals(directory, target):
        _finish_off(clients, journal, progress)
        journal.remove()
    now = dt.datetime.now(dt.UTC)
    wanted = {tags.RECIPE: target.recipe, tags.STATE: tags.IN_PROGRESS}
    old = [resource for resource, made in find_tagged(clients, wanted) if now - made > OLD]
    _remove(clients, old, progress, known_by=0.0)


def _finish_off(clients: Clients, journal: Journal, progress: Progress) -> None:
    """Remove the resources of a dead publish, but keep an AMI and a snapshot that had passed their tests."""
    tagged = []
    if journal.publish_id:
        # Killed between AWS's answer and our note: only the tags know of such a resource.
        wanted = {tags.PUBLISH_ID: journal.publish_id, tags.STATE: tags.IN_PROGRESS}
        tagged = [resource for resource, _ in find_tagged(clients, wanted)]
    noted = [resource for resource in journal.resources if not _settled(clients, resource)]
    _remove(clients, [*noted, *tagged], progress, known_by=journal.written + KNOWN_AFTER)


def _settled(clients: Clients, resource: Resource) -> bool:
    """Say whether a resource passed its tests (its tags say so) or is gone: either way it is not to be removed."""
    if resource.kind == "image":
        image = ami.describe(clients, resource.id)
        return image is None or tags.tags_of(image).get(tags.STATE, tags.IN_PROGRESS) != tags.IN_PROGRESS
    if resource.kind == "snapshot":
        filters = tags.tag_filters({tags.STATE: tags.IN_PROGRESS})
        filters.append({"Name": "snapshot-id", "Values": [resource.id]})
        return not clients.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
    # A registry entry is the last thing that a publish makes: it stands on its own, and `registry.find` judges it.
    return resource.kind == "parameter"


def _remove(clients: Clients, resources: list[Resource], progress: Progress, *, known_by: float) -> None:
    stayed = remove_all(
        clients,
        resources,
        lambda resource: progress(f"removed {resource.kind} {resource.id} of a publish that died"),
        known_by=known_by,
    )
    if stayed:
        told = "\n".join(f"  {resource.kind} {resource.id}: {why}" for resource, why in stayed)
        raise PublishError(f"what an earlier publish left behind cannot be removed:\n{told}")
