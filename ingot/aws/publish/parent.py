"""Which snapshot a new one can be the child of, so that only the blocks that differ travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingot.aws.publish.blocks import BlockMap
from ingot.aws.publish.image import Subject
from ingot.aws.registry.published import ManifestOf
from ingot.aws.session import tags
from ingot.errors import IngotError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef

    from ingot.aws.session.clients import Clients

# How many of the recipe's newest snapshots are looked at: the best parent is nearly always the newest one,
# but after a roll-back it is an older one.
CANDIDATES = 5


@dataclass(frozen=True)
class Parent:
    """A completed snapshot of the same recipe, and what its blocks hold."""

    snapshot_id: str
    blocks: BlockMap


def find_parent(clients: Clients, subject: Subject, manifest_of: ManifestOf) -> Parent | None:
    """Return the recipe's published snapshot that has the most blocks in common; None when none will do."""
    parents = candidates(clients, subject, manifest_of)
    return min(parents, key=lambda parent: len(subject.blocks.changed_since(parent.blocks)), default=None)


def candidates(clients: Clients, subject: Subject, manifest_of: ManifestOf) -> list[Parent]:
    """Return published snapshots of the same recipe that will do as a parent, the newest first.

    One will do when it is complete, of the same volume size, of an encryption that a child may inherit (where
    the account encrypts by default an unencrypted parent is refused), and when ``manifest_of`` its recipe
    digest knows its blocks.
    """
    wanted = {tags.RECIPE: subject.recipe, tags.STATE: tags.PUBLISHED}
    snapshots: list[SnapshotTypeDef] = []
    pages = clients.ec2.get_paginator("describe_snapshots")
    for page in pages.paginate(OwnerIds=["self"], Filters=tags.tag_filters(wanted)):
        snapshots.extend(page["Snapshots"])
    if not snapshots:
        return []
    encrypts = bool(clients.ec2.get_ebs_encryption_by_default().get("EbsEncryptionByDefault", False))
    fitting = [
        shot
        for shot in sorted(snapshots, key=lambda shot: shot["StartTime"], reverse=True)
        if shot["State"] == "completed"
        and shot["VolumeSize"] == subject.blocks.gib
        and shot.get("StorageTier", "standard") == "standard"
        and (shot.get("Encrypted", False) or not encrypts)
    ]
    parents = [_parent(shot, manifest_of) for shot in fitting[:CANDIDATES]]
    return [parent for parent in parents if parent is not None]


def _parent(shot: SnapshotTypeDef, manifest_of: ManifestOf) -> Parent | None:
    """Return a snapshot with its blocks; None when its manifest is unknown, or describes other blocks."""
    values = tags.tags_of(shot)
    try:
        manifest = manifest_of(values.get(tags.DIGEST, ""))
        if manifest is None:
            return None
        blocks = BlockMap.of(manifest)
    except IngotError:
        # A damaged manifest of an old image costs a full upload, not the publish.
        return None
    if blocks.root_digest != values.get(tags.ROOT_DIGEST):
        return None
    return Parent(shot["SnapshotId"], blocks)
