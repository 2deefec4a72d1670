"""Removing what a publish made: by its journal, and by the tags on the resources.

The order is the reverse of creation: an instance uses the AMI, the AMI uses the snapshot.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ingot.aws.publish import registry
from ingot.aws.publish.journal import Resource
from ingot.aws.session import tags
from ingot.aws.session.failures import AwsError, explain, is_missing
from ingot.aws.session.waiting import FIRST_PAUSE, LONGEST_PAUSE, patiently, wait_until

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

ORDER = ("parameter", "instance", "image", "snapshot")
# No publish takes so long: its snapshot cancels itself after an hour without a block, its test clone has a time limit. What is still
# in progress then, was left by a machine whose journal is not here.
OLD = dt.timedelta(hours=6)
# Seconds for which a clean-up waits out throttling and outages. Nobody can interrupt it meanwhile; what stays, the next publish removes.
PATIENCE = 120.0
# Seconds after which EC2 knows an instance that it launched; it is eventually consistent.
KNOWN_AFTER = 120.0
# Seconds
TERMINATION_LIMIT = 600.0


def find_tagged(clients: Clients, wanted: dict[str, str]) -> list[tuple[Resource, dt.datetime]]:
    """Return the account's instances, images and snapshots with all of these tags, and when each was made."""
    filters = tags.tag_filters(wanted)
    found: list[tuple[Resource, dt.datetime]] = []
    for page in clients.ec2.get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] not in ("terminated", "shutting-down"):
                    found.append((Resource("instance", instance["InstanceId"]), instance["LaunchTime"]))
    for image in clients.ec2.describe_images(Owners=["self"], Filters=filters)["Images"]:
        made = dt.datetime.fromisoformat(image["CreationDate"].replace("Z", "+00:00"))
        found.append((Resource("image", image["ImageId"]), made))
    for shots in clients.ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters):
        found.extend(
            (Resource("snapshot", shot["SnapshotId"]), shot["StartTime"]) for shot in shots["Snapshots"]
        )
    return found


def remove_resource(clients: Clients, resource: Resource, *, until: float, known_by: float) -> None:
    """Remove one resource and wait until it is gone; one that is gone already is fine.

    ``until`` (s, monotonic) throttling and outages are waited out. Before ``known_by`` (Unix seconds) an instance that EC2 does not know is
    taken for one that it does not know yet. Raises botocore's errors, and TimeoutError for an instance that takes too long.
    """
    if resource.kind == "instance":
        _terminate(clients, resource.id, until, known_by)
    else:
        patiently(lambda: _remove(clients, resource), until)


def _terminate(clients: Clients, instance_id: str, until: float, known_by: float) -> None:
    pause = FIRST_PAUSE
    while True:
        try:
            patiently(lambda: clients.ec2.terminate_instances(InstanceIds=[instance_id]), until)
            break
        except AwsError as error:
            if not is_missing(error):
                raise
            if time.time() >= known_by:
                return
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
    wait_until(
        lambda: _state(clients, instance_id, known_by) == "terminated",
        f"{instance_id} to terminate",
        limit=TERMINATION_LIMIT,
    )


def _remove(clients: Clients, resource: Resource) -> None:
    try:
        if resource.kind == "image":
            clients.ec2.deregister_image(ImageId=resource.id)
        elif resource.kind == "snapshot":
            clients.ec2.delete_snapshot(SnapshotId=resource.id)
        elif resource.kind == "parameter":
            registry.remove_entry(clients, resource.id)
        else:
            raise ValueError(f"a {resource.kind} is nothing that a publish makes")
    except AwsError as error:
        if not is_missing(error):
            raise


def _state(clients: Clients, instance_id: str, known_by: float) -> str:
    try:
        answer = clients.ec2.describe_instances(InstanceIds=[instance_id])
    except AwsError as error:
        if is_missing(error):
            return "terminated" if time.time() >= known_by else "pending"
        raise
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]


def remove_all(
    clients: Clients, resources: Iterable[Resource], removed: Callable[[Resource], None], *, known_by: float
) -> list[tuple[Resource, str]]:
    """Remove resources, users before what they use; call ``removed`` for each. Return what stayed, and why.

    One that cannot be removed does not keep the rest from being removed; but while the registry may name an AMI, it and its snapshot
    stay. ``known_by``: see `remove_resource`.
    """
    until = time.monotonic() + PATIENCE
    stayed: list[tuple[Resource, str]] = []
    for resource in sorted(dict.fromkeys(resources), key=lambda r: ORDER.index(r.kind)):
        if resource.kind in ("image", "snapshot") and any(left.kind == "parameter" for left, _ in stayed):
            stayed.append((resource, "the registry may name it"))
            continue
        try:
            remove_resource(clients, resource, until=until, known_by=known_by)
        except (*AwsError, TimeoutError) as error:
            stayed.append((resource, explain(error)))
        else:
            removed(resource)
    return stayed
