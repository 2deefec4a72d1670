"""Disk image to EBS snapshot, by the EBS direct APIs.

Source of the rules: https://docs.aws.amazon.com/ebs/latest/userguide/writesnapshots.html and the EBS direct
API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.aws.publish.blocks import DiskReader
from ingot.aws.publish.parent import Parent
from ingot.aws.publish.publication import Publication
from ingot.aws.session.clients import BLOCK_STREAMS
from ingot.aws.session.failures import code_of, repetitions
from ingot.aws.session.retry import block_retries, named
from ingot.aws.session.tags import tag_list
from ingot.aws.session.waiting import wait_until
from ingot.bake.instance.upload import Upload
from ingot.blocks import BLOCK_SIZE, Digests, as_checksum, linear_digest, to_send
from ingot.errors import PublishError
from ingot.retry import Retries

if TYPE_CHECKING:
    from mypy_boto3_ebs.type_defs import CompleteSnapshotRequestTypeDef, StartSnapshotRequestTypeDef
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef

    from ingot.aws.session.clients import Clients

# Minutes (10 to 4,320) after which AWS cancels a snapshot that is not completed. Four hours: 16 GiB over 10
# Mbit/s.
CANCEL_AFTER = 240
# Seconds. Completing copies the blocks to S3: minutes for tens of GiB.
COMPLETION_LIMIT = 3600.0
# Seconds in which a snapshot must turn out to be complete when the answer that said so was lost.
LOST_ANSWER_LIMIT = 120.0


@dataclass(frozen=True)
class StartedSnapshot:
    """A snapshot that takes blocks.

    ``parent`` is the one that it really has. ``encrypted``: blocks that are not written do not read as zeros.
    """

    snapshot_id: str
    encrypted: bool
    parent: Parent | None
    retries: Retries

    def to_send(self, digests: Digests) -> list[int]:
        """Return which blocks of a disk with these digests must be written."""
        parent = None if self.parent is None else self.parent.blocks.digests
        return to_send(digests, parent, encrypted=self.encrypted)


def start_snapshot(publication: Publication, publish_id: str, parent: Parent | None) -> StartedSnapshot:
    """Start the snapshot, as the parent's child where AWS accepts that.

    Asked twice, AWS starts one: ClientToken.
    """
    subject = publication.subject
    kind = "full" if parent is None else "child"
    request: StartSnapshotRequestTypeDef = {
        "VolumeSize": subject.blocks.gib,
        "ClientToken": f"{subject.digest[:32]}-{publish_id}-{kind}",
        "Description": f"Ingot image {subject.recipe} {subject.version}",
        "Tags": tag_list(subject.tags(publish_id)),
        "Timeout": CANCEL_AFTER,
    }
    if parent is not None:
        request["ParentSnapshotId"] = parent.snapshot_id
    try:
        with named("start the snapshot"):
            answer = publication.clients.ebs.start_snapshot(**request)
    except PublishError as error:
        refused = code_of(error.__cause__) if error.__cause__ else ""
        if parent is None or refused not in ("ValidationException", "ResourceNotFoundException"):
            raise
        # A parent whose key or lineage AWS refuses costs a full upload, not the publish.
        return start_snapshot(publication, publish_id, None)
    if answer.get("BlockSize", BLOCK_SIZE) != BLOCK_SIZE:
        raise PublishError(
            f"{answer['SnapshotId']} has blocks of {answer['BlockSize']} bytes; Ingot writes {BLOCK_SIZE}"
        )
    encrypted = bool(answer.get("KmsKeyArn")) or answer.get("SseType") == "sse-kms"
    retries = block_retries(
        100 + 2 * len(subject.blocks.digests),
        pace=publication.settings.pace,
        snapshot=answer["SnapshotId"],
        recent=publication.clients.recent,
    )
    return StartedSnapshot(answer["SnapshotId"], encrypted, parent, retries)


def send_blocks(publication: Publication, started: StartedSnapshot, disk: Path) -> int:
    """Write the blocks that must be written and complete the snapshot; return how many were written."""
    blocks = publication.subject.blocks
    indexes = started.to_send(blocks.digests)

    def put(index: int, data: bytes, digest: str) -> object:
        return publication.clients.ebs.put_snapshot_block(
            SnapshotId=started.snapshot_id,
            BlockIndex=index,
            BlockData=data,
            DataLength=len(data),
            Checksum=as_checksum(digest),
            ChecksumAlgorithm="SHA256",
        )

    with DiskReader(disk, blocks) as reader:
        upload = Upload(indexes, reader.read, put, started.retries, BLOCK_STREAMS, publication.progress)
        digests = upload.run()
    complete(publication, started, digests)
    return len(indexes)


def complete(publication: Publication, started: StartedSnapshot, digests: list[str]) -> None:
    """Complete a snapshot whose written blocks have these digests, in the order of their indexes; wait until
    it is.

    EBS compares the checksum over the digests with its own.
    """
    clients = publication.clients
    request: CompleteSnapshotRequestTypeDef = {
        "SnapshotId": started.snapshot_id,
        "ChangedBlocksCount": len(digests),
    }
    if digests:  # a child that equals its parent has nothing to aggregate
        request["Checksum"] = as_checksum(linear_digest(digests).hex())
        request["ChecksumAlgorithm"] = "SHA256"
        request["ChecksumAggregationMethod"] = "LINEAR"

    try:
        with named(f"complete {started.snapshot_id}"):
            clients.ebs.complete_snapshot(**request)
    except PublishError as error:
        # When the answer to the first try was lost, the second one is refused: the snapshot is no longer
        # pending.
        cause = error.__cause__
        if cause is None or code_of(cause) != "ValidationException" or not repetitions(cause):
            raise
        try:
            wait_until(lambda: _is_completed(clients, started), "", limit=LOST_ANSWER_LIMIT)
        except TimeoutError:
            raise error from cause
    publication.progress(f"waiting for {started.snapshot_id} to complete")
    _wait_completed(clients, started)


def _describe(clients: Clients, started: StartedSnapshot) -> SnapshotTypeDef:
    """Return the snapshot as EC2 describes it; raise PublishError when it is gone."""
    found = clients.ec2.describe_snapshots(SnapshotIds=[started.snapshot_id])["Snapshots"]
    if not found:
        raise PublishError(f"{started.snapshot_id} vanished while it was completing")
    return found[0]


def _is_completed(clients: Clients, started: StartedSnapshot) -> bool:
    return _describe(clients, started)["State"] == "completed"


def _wait_completed(clients: Clients, started: StartedSnapshot) -> None:
    """Wait until EBS has the snapshot whole.

    Raises PublishError when it reports an error or takes over an hour.
    """
    snapshot_id = started.snapshot_id

    def completed() -> bool:
        snapshot = _describe(clients, started)
        if snapshot["State"] == "error":
            raise PublishError(
                f"EBS could not complete {snapshot_id}: {snapshot.get('StateMessage', 'no reason given')}"
            )
        return snapshot["State"] == "completed"

    try:
        wait_until(completed, f"{snapshot_id} to complete", limit=COMPLETION_LIMIT)
    except TimeoutError as error:
        raise PublishError(str(error)) from error
