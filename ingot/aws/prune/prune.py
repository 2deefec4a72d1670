"""Removing old images: out of the registry, disabled, checked again, deregistered with their snapshots."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.instance_store import bucket
from ingot.aws.instance_store.bucket import BundlePlace
from ingot.aws.prune.plan import Judged, PrunePlan, own_images, reasons_of
from ingot.aws.prune.uses import TemplateVersion, find_uses
from ingot.aws.registry import entries
from ingot.aws.session.failures import AwsError, explain, is_missing
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

# EnableImageDeprecation refuses a time in the past and rounds to minutes.
SOON = dt.timedelta(minutes=2)
AT_ONCE = 200  # versions that one DeleteLaunchTemplateVersions takes


@dataclass
class Pruned:
    """What a prune did.

    ``stayed``: what it could not remove, and why; ``spared``: AMIs that came into use meanwhile.
    """

    images: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    spared: list[tuple[str, str]] = field(default_factory=list)
    stayed: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        return {
            "removed": {"images": self.images, "snapshots": self.snapshots, "versions": self.versions},
            "spared": [list(pair) for pair in self.spared],
            "stayed": [list(pair) for pair in self.stayed],
        }


def prune(clients: Clients, plan: PrunePlan, progress: Progress) -> Pruned:
    """Remove what the plan says. What fails for one thing does not keep the rest from being removed; it is in
    ``stayed``.

    An AMI is disabled first: from then on nothing can be launched from it. Then all uses are looked at once
    more, and who came into use meanwhile is enabled again. An interrupted prune leaves AMIs disabled at
    worst; the next one goes on with them.
    """
    done = Pruned()
    _delete_versions(clients, plan.versions, done, progress)
    disabled = [
        image
        for image in plan.going
        if _attempt(image.ami_id, done, partial(_disable, clients, image, progress))
    ]
    for image in _unused(clients, disabled, done, progress):
        _attempt(image.ami_id, done, partial(_deregister, clients, image, done, progress))
    for snapshot in plan.snapshots:
        _attempt(snapshot, done, partial(_delete_snapshot, clients, snapshot, done, progress))
    return done


def _attempt(what: str, done: Pruned, work: Callable[[], None]) -> bool:
    """Do the work; note what could not be done. What is gone already is fine."""
    try:
        work()
    except AwsError as error:
        if is_missing(error):
            return False
        done.stayed.append((what, explain(error)))
        return False
    return True


def _delete_versions(
    clients: Clients, versions: Sequence[TemplateVersion], done: Pruned, progress: Progress
) -> None:
    of_template: dict[str, list[TemplateVersion]] = defaultdict(list)
    for version in versions:
        of_template[version.template_id].append(version)
    for template, group in of_template.items():
        for start in range(0, len(group), AT_ONCE):
            numbers = [str(version.number) for version in group[start : start + AT_ONCE]]
            _attempt(template, done, partial(_delete_some, clients, template, numbers, done, progress))


def _delete_some(
    clients: Clients, template: str, numbers: list[str], done: Pruned, progress: Progress
) -> None:
    answer = clients.ec2.delete_launch_template_versions(LaunchTemplateId=template, Versions=numbers)
    for gone in answer["SuccessfullyDeletedLaunchTemplateVersions"]:
        done.versions.append(f"{template} {gone['VersionNumber']}")
    for kept in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]:
        why = kept.get("ResponseError", {}).get("Message", "no reason given")
        done.stayed.append((f"{template} version {kept.get('VersionNumber')}", why))
    progress(f"deleted {len(answer['SuccessfullyDeletedLaunchTemplateVersions'])} versions of {template}")


def _disable(clients: Clients, image: Judged, progress: Progress) -> None:
    """Deprecate the AMI, take it out of the registry, disable it.

    In this order nobody is sent to an AMI that cannot be launched.
    """
    at = dt.datetime.now(dt.UTC) + SOON
    clients.ec2.enable_image_deprecation(ImageId=image.ami_id, DeprecateAt=at)
    entries.remove(clients, image.recipe, image.digest, image.ami_id)
    clients.ec2.disable_image(ImageId=image.ami_id)
    progress(f"disabled {image.ami_id} ({image.recipe} {image.digest[:12]})")


def _unused(clients: Clients, disabled: Sequence[Judged], done: Pruned, progress: Progress) -> list[Judged]:
    """Look at all uses again; return the AMIs that are still unused, and give the others back."""
    if not disabled:
        return []
    try:
        uses = find_uses(clients)
        remaining = {image["ImageId"] for image in own_images(clients)}
    except AwsError as error:
        done.stayed.extend(
            (image.ami_id, f"disabled, not deregistered: {explain(error)}") for image in disabled
        )
        return []
    unused = []
    for image in disabled:
        reasons = list(reasons_of(image.ami_id, uses))
        if reasons:
            _attempt(image.ami_id, done, partial(_restore, clients, image))
            done.spared.append((image.ami_id, "; ".join(reasons)))
            progress(f"{image.ami_id} came into use and stays: {reasons[0]}")
        elif image.ami_id in remaining:
            unused.append(image)
    return unused


def _restore(clients: Clients, image: Judged) -> None:
    """Undo `_disable`."""
    clients.ec2.enable_image(ImageId=image.ami_id)
    clients.ec2.disable_image_deprecation(ImageId=image.ami_id)
    entries.put(clients, image.recipe, image.digest, image.digest[:12], image.ami_id)


def _deregister(clients: Clients, image: Judged, done: Pruned, progress: Progress) -> None:
    """Deregister an AMI together with its snapshots; EC2 skips a snapshot that another AMI uses.

    A bundle's parts go before their AMI, which EC2 would leave: a prune that fails between them finds the AMI
    again.
    """
    if image.bundle is not None:
        place = BundlePlace.of_image(image.bundle)
        progress(f"removed {bucket.remove(clients, place)} objects of {place}")
        clients.ec2.deregister_image(ImageId=image.ami_id)
        done.images.append(image.ami_id)
        progress(f"deregistered {image.ami_id}")
        return
    answer = clients.ec2.deregister_image(ImageId=image.ami_id, DeleteAssociatedSnapshots=True)
    done.images.append(image.ami_id)
    progress(f"deregistered {image.ami_id}")
    return_codes = {
        result.get("SnapshotId", ""): result.get("ReturnCode", "")
        for result in answer.get("DeleteSnapshotResults", [])
    }
    for snapshot in image.snapshots:
        code = str(return_codes.get(snapshot, ""))
        if code == "success":
            done.snapshots.append(snapshot)
        elif code != "skipped":
            # A lost answer, or an EC2 that deleted the AMI alone.
            _attempt(snapshot, done, partial(_delete_snapshot, clients, snapshot, done, progress))


def _delete_snapshot(clients: Clients, snapshot: str, done: Pruned, progress: Progress) -> None:
    try:
        clients.ec2.delete_snapshot(SnapshotId=snapshot)
    except ClientError as error:
        if not is_missing(error):
            raise
    done.snapshots.append(snapshot)
    progress(f"deleted {snapshot}")
