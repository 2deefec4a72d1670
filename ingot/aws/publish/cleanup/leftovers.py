"""Removing what publishes made: by their journals, by the tags on the resources, and after a crash by age.

The order is the reverse of creation: an instance uses the AMI, the AMI uses the snapshot, or the bundle.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.aws.instance_store import bucket
from ingot.aws.instance_store.bucket import BundlePlace
from ingot.aws.publish.cleanup.journal import (
    Journal,
    PublishTarget,
    Resource,
    dead_journals,
    dead_journals_of,
)
from ingot.aws.registry import amis, entries
from ingot.aws.session import tags
from ingot.aws.session.failures import AwsError, explain, is_missing
from ingot.aws.session.retry import retries_until
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError
from ingot.progress import Progress
from ingot.retry import now, wall

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, SnapshotTypeDef

    from ingot.aws.session.clients import Clients

ORDER = ("parameter", "instance", "image", "snapshot", "bundle")
# No publish takes so long: its snapshot cancels itself after an hour without a block, its test clone has a
# time limit. What is still in progress then was left by a machine whose journal is not here.
OLD = dt.timedelta(hours=6)
# Seconds for which a clean-up waits out throttling and outages. Nobody can interrupt it meanwhile; the next
# publish removes what stays.
PATIENCE = 120.0
# Seconds
TERMINATION_LIMIT = 600.0


def find_tagged(clients: Clients, wanted: dict[str, str]) -> list[tuple[Resource, dt.datetime]]:
    """Return the instances, images and snapshots with all of these tags, and the images' bundles; with their
    creation times.
    """
    filters = tags.tag_filters(wanted)
    resources: list[tuple[Resource, dt.datetime]] = []
    for answer in clients.ec2.get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in answer["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] not in ("terminated", "shutting-down"):
                    resources.append((Resource("instance", instance["InstanceId"]), instance["LaunchTime"]))
    for image in clients.ec2.describe_images(Owners=["self"], Filters=filters)["Images"]:
        created = dt.datetime.fromisoformat(image["CreationDate"].replace("Z", "+00:00"))
        resources.append((Resource("image", image["ImageId"]), created))
        if image.get("RootDeviceType") == "instance-store":
            place = BundlePlace.of_image(image["ImageLocation"])
            resources.append((Resource("bundle", str(place)), created))
    for page in clients.ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters):
        resources.extend((Resource("snapshot", s["SnapshotId"]), s["StartTime"]) for s in page["Snapshots"])
    return resources


def remove_resource(clients: Clients, resource: Resource, *, until: float) -> None:
    """Remove one resource and wait until it is gone; one that is gone already is fine.

    ``until`` (s, as `ingot.retry.now`) throttling and outages are waited out. Raises botocore's errors, and
    TimeoutError for an instance that takes too long.
    """
    if resource.kind == "instance":
        _terminate(clients, resource.id, until)
    else:
        retries_until(until).call(lambda: _remove(clients, resource), resource.id)


def _terminate(clients: Clients, instance_id: str, until: float) -> None:
    try:
        retries_until(until).call(
            lambda: clients.ec2.terminate_instances(InstanceIds=[instance_id]), instance_id
        )
    except AwsError as error:
        if not is_missing(error):
            raise
        return
    wait_until(
        lambda: _state(clients, instance_id) == "terminated",
        f"{instance_id} to terminate",
        limit=TERMINATION_LIMIT,
    )


def _remove(clients: Clients, resource: Resource) -> None:
    try:
        if resource.kind == "image":
            clients.ec2.deregister_image(ImageId=resource.id)
        elif resource.kind == "snapshot":
            clients.ec2.delete_snapshot(SnapshotId=resource.id)
        elif resource.kind == "bundle":
            bucket.remove(clients, BundlePlace.of(resource.id))
        elif resource.kind == "parameter":
            entries.remove_entry(clients, resource.id)
        else:
            raise ValueError(f"a {resource.kind} is nothing that a publish makes")
    except AwsError as error:
        if not is_missing(error):
            raise


def _state(clients: Clients, instance_id: str) -> str:
    try:
        answer = clients.ec2.describe_instances(InstanceIds=[instance_id])
    except AwsError as error:
        if is_missing(error):
            return "terminated"
        raise
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]


def remove_all(
    clients: Clients, resources: Iterable[Resource], removed: Callable[[Resource], None]
) -> list[tuple[Resource, str]]:
    """Remove resources, users before what they use; call ``removed`` for each. Return what stayed, and why.

    One that cannot be removed does not keep the rest from being removed; but while the registry may name an
    AMI, it and its snapshot stay.
    """
    until = now() + PATIENCE
    stayed: list[tuple[Resource, str]] = []
    for resource in sorted(dict.fromkeys(resources), key=lambda r: ORDER.index(r.kind)):
        if resource.kind in ("image", "snapshot", "bundle") and any(
            left.kind == "parameter" for left, _ in stayed
        ):
            stayed.append((resource, "the registry may name it"))
            continue
        try:
            remove_resource(clients, resource, until=until)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest must go, and this one be named
            stayed.append((resource, explain(error)))
        else:
            removed(resource)
    return stayed


def sweep(clients: Clients, own: Journal, directory: Path, target: PublishTarget, progress: Progress) -> None:
    """Remove what dead publishes of this recipe left: by their journals, by their tags, and by age.

    A publish is dead when its journal can be locked (the caller locked ``own``). Resources in progress
    without a journal here are another machine's: they are left alone until no publish can take so long any
    more.
    """
    if own.publish_id:
        _finish_off(clients, own, progress)
    for journal in dead_journals(directory, target):
        _finish_off(clients, journal, progress)
        journal.remove()
    now = dt.datetime.now(dt.UTC)
    wanted = {tags.RECIPE: target.recipe, tags.STATE: tags.IN_PROGRESS}
    old = [resource for resource, created in find_tagged(clients, wanted) if now - created > OLD]
    _remove_dead(clients, old, progress)


def sweep_bundles(clients: Clients, place: BundlePlace, progress: Progress) -> None:
    """Remove bundles of a recipe, at ``place``, that no publish can be writing any more and no AMI stands on.

    Objects have no tags, so those of another machine's dead publish are told by their age alone.
    """
    old = bucket.older_than(clients, place, dt.datetime.now(dt.UTC) - OLD)
    if not old:
        return
    filters: list[FilterTypeDef] = [{"Name": "root-device-type", "Values": ["instance-store"]}]
    images = clients.ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
    used = {BundlePlace.of_image(image["ImageLocation"]) for image in images}
    _remove_dead(clients, [Resource("bundle", str(one)) for one in old if one not in used], progress)


def left_behind(clients: Clients, directory: Path, account: str) -> list[Resource]:
    """Return what publishes in this account and region left that died, by the journals of this machine."""
    journals = dead_journals_of(directory, account, clients.region)
    return list(dict.fromkeys(resource for journal in journals for resource in _of_dead(clients, journal)))


def remove_left_behind(clients: Clients, directory: Path, account: str, progress: Progress) -> None:
    """Remove what `left_behind` returns, and the journals. Raises PublishError naming what cannot be."""
    for journal in dead_journals_of(directory, account, clients.region):
        _finish_off(clients, journal, progress)
        journal.remove()


def _finish_off(clients: Clients, journal: Journal, progress: Progress) -> None:
    """Remove the resources of a dead publish, but keep an AMI and a snapshot that had passed their tests."""
    _remove_dead(clients, _of_dead(clients, journal), progress)


def _of_dead(clients: Clients, journal: Journal) -> list[Resource]:
    """Return what is to be removed of a dead publish."""
    for resource in journal.resources:
        # None is younger than the journal: until then AWS may not know yet what the dead process made.
        clients.recent.note(resource.id, now() - (wall() - journal.written))
    tagged: list[Resource] = []
    if journal.publish_id:
        # Killed between AWS's answer and our note: only the tags know of such a resource.
        wanted = {tags.PUBLISH_ID: journal.publish_id, tags.STATE: tags.IN_PROGRESS}
        tagged = [resource for resource, _ in find_tagged(clients, wanted)]
    noted = [resource for resource in journal.resources if not _settled(clients, resource)]
    return [*noted, *tagged]


def _settled(clients: Clients, resource: Resource) -> bool:
    """Tell whether a resource passed its tests, by its tags, or is gone: it is not to be removed then."""
    if resource.kind == "image":
        image = amis.describe(clients, resource.id)
        return image is None or tags.tags_of(image).get(tags.STATE, tags.IN_PROGRESS) != tags.IN_PROGRESS
    if resource.kind == "snapshot":
        snapshot = _snapshot(clients, resource.id)
        return (
            snapshot is None or tags.tags_of(snapshot).get(tags.STATE, tags.IN_PROGRESS) != tags.IN_PROGRESS
        )
    if resource.kind == "bundle":
        # Below a prefix that ends with the publish's id.
        publish_id = resource.id.rstrip("/").rpartition("/")[2]
        wanted = tags.tag_filters({tags.PUBLISH_ID: publish_id})
        images = clients.ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]
        return any(tags.tags_of(image).get(tags.STATE) != tags.IN_PROGRESS for image in images)
    # A registry entry is the last thing that a publish makes: it stands on its own, and is judged whenever it
    # is read.
    return resource.kind == "parameter"


def _snapshot(clients: Clients, snapshot_id: str) -> SnapshotTypeDef | None:
    try:
        snapshots = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    except AwsError as error:
        if is_missing(error):
            return None
        raise
    return snapshots[0] if snapshots else None


def _remove_dead(clients: Clients, resources: list[Resource], progress: Progress) -> None:
    stayed = remove_all(
        clients,
        resources,
        lambda resource: progress(f"removed {resource.kind} {resource.id} of a publish that died"),
    )
    if stayed:
        lines = "\n".join(f"  {resource.kind} {resource.id}: {why}" for resource, why in stayed)
        raise PublishError(f"what an earlier publish left behind cannot be removed:\n{lines}")
