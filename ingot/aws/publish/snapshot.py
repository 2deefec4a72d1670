"""Disk image to EBS snapshot, by the EBS direct APIs.

Source of the rules: https://docs.aws.amazon.com/ebs/latest/userguide/writesnapshots.html and the EBS direct API reference.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ingot.aws.publish.blocks import BlockMap, DiskReader
from ingot.aws.publish.image import Subject
from ingot.aws.publish.parent import Parent
from ingot.aws.session.clients import BLOCK_STREAMS
from ingot.aws.session.failures import code_of, is_missing
from ingot.aws.session.retry import SETTLING, Retries, StoppedError
from ingot.aws.session.tags import tag_list
from ingot.aws.session.waiting import wait_until
from ingot.blocks import BLOCK_SIZE, linear_digest, to_send
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_ebs.type_defs import CompleteSnapshotRequestTypeDef, StartSnapshotRequestTypeDef
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef

    from ingot.aws.session.clients import Clients

# Minutes (10 to 4,320) after which AWS cancels a snapshot that is not completed. Four hours: 16 GiB over 10 Mbit/s.
CANCEL_AFTER = 240
# Seconds. Completing copies the blocks to S3: minutes for tens of GiB.
COMPLETION_LIMIT = 3600.0
# Seconds in which a snapshot must turn out to be complete when the answer that said so was lost.
LOST_ANSWER_LIMIT = 120.0
# Seconds between two lines of progress.
REPORT_EVERY = 2.0


@dataclass(frozen=True)
class Started:
    """A snapshot that takes blocks. ``parent`` is the one it really has; ``encrypted``: its omitted blocks are not zeros."""

    snapshot_id: str
    encrypted: bool
    parent: Parent | None
    retries: Retries

    def to_send(self, blocks: BlockMap) -> list[int]:
        """Return which blocks must be written.

        A block that a child omits is its parent's. One that an encrypted snapshot without a parent omits reads back as random data.
        """
        parent = None if self.parent is None else self.parent.blocks.digests
        return to_send(blocks.digests, parent, encrypted=self.encrypted)


def start_snapshot(
    clients: Clients, subject: Subject, publish_id: str, parent: Parent | None, *, pace: float = 1.0
) -> Started:
    """Start the snapshot, as the parent's child where AWS takes it as one. Asked twice, AWS starts one: ClientToken."""
    blocks = subject.blocks
    retries = Retries(budget=100 + 2 * len(blocks.digests), pace=pace)
    kind = "full" if parent is None else "child"
    request: StartSnapshotRequestTypeDef = {
        "VolumeSize": blocks.gib,
        "ClientToken": f"{subject.digest[:32]}-{publish_id}-{kind}",
        "Description": f"Ingot image {subject.recipe} {subject.version}",
        "Tags": tag_list(subject.tags(publish_id)),
        "Timeout": CANCEL_AFTER,
    }
    if parent is not None:
        request["ParentSnapshotId"] = parent.snapshot_id
    try:
        answer = retries.call(lambda: clients.ebs.start_snapshot(**request), "start the snapshot")
    except PublishError as error:
        refused = code_of(error.__cause__) if error.__cause__ else ""
        if parent is None or refused not in ("ValidationException", "ResourceNotFoundException"):
            raise
        # A parent whose key or lineage AWS will not have costs a full upload, not the publish.
        return start_snapshot(clients, subject, publish_id, None, pace=pace)
    retries.settling = time.monotonic() + SETTLING
    if answer.get("BlockSize", BLOCK_SIZE) != BLOCK_SIZE:
        raise PublishError(
            f"{answer['SnapshotId']} has blocks of {answer['BlockSize']} bytes; expected {BLOCK_SIZE}"
        )
    encrypted = bool(answer.get("KmsKeyArn")) or answer.get("SseType") == "sse-kms"
    return Started(answer["SnapshotId"], encrypted, parent, retries)


def send_blocks(clients: Clients, started: Started, disk: Path, blocks: BlockMap, progress: Progress) -> int:
    """Write the blocks that must be written, complete the snapshot, wait until it is; return how many were written."""
    indexes = started.to_send(blocks)
    with DiskReader(disk, blocks) as reader:
        upload = _Upload(clients, started, reader, indexes, progress)
        digests = upload.run()
    complete(clients, started, digests, progress)
    return len(indexes)


def complete(clients: Clients, started: Started, digests: list[str], progress: Progress) -> None:
    """Complete a snapshot whose written blocks have these digests, in the order of their indexes; wait until it is."""
    _complete(clients, started, digests)
    wait_completed(clients, started, progress)


def _complete(clients: Clients, started: Started, digests: list[str]) -> None:
    """Say that all blocks are there, with the checksum over their digests that EBS compares with its own."""
    attempts = 0
    request: CompleteSnapshotRequestTypeDef = {
        "SnapshotId": started.snapshot_id,
        "ChangedBlocksCount": len(digests),
    }
    if digests:  # a child that equals its parent has nothing to aggregate
        request["Checksum"] = base64.b64encode(linear_digest(digests)).decode()
        request["ChecksumAlgorithm"] = "SHA256"
        request["ChecksumAggregationMethod"] = "LINEAR"

    def complete() -> None:
        nonlocal attempts
        attempts += 1
        clients.ebs.complete_snapshot(**request)

    try:
        started.retries.call(complete, f"complete {started.snapshot_id}")
    except PublishError as error:
        # When the answer to the first try was lost, the second one is refused, since the snapshot is no longer pending.
        refused = error.__cause__ is not None and code_of(error.__cause__) == "ValidationException"
        if attempts == 1 or not refused:
            raise
        try:
            wait_until(lambda: _is_completed(clients, started), "", limit=LOST_ANSWER_LIMIT)
        except TimeoutError:
            raise error from error.__cause__


def _describe(clients: Clients, started: Started) -> SnapshotTypeDef | None:
    """Return the snapshot as EC2 describes it; None when EC2 does not know it yet, though EBS direct has it."""
    try:
        return clients.ec2.describe_snapshots(SnapshotIds=[started.snapshot_id])["Snapshots"][0]
    except ClientError as error:
        if not is_missing(error):
            raise
        if time.monotonic() < started.retries.settling:
            return None
        raise PublishError(f"{started.snapshot_id} vanished while it was completing") from error


def _is_completed(clients: Clients, started: Started) -> bool:
    shot = _describe(clients, started)
    return shot is not None and shot["State"] == "completed"


def wait_completed(clients: Clients, started: Started, progress: Progress) -> None:
    """Wait until EBS has the snapshot whole; raise PublishError when it reports an error or takes over an hour."""
    snapshot_id = started.snapshot_id

    def completed() -> bool:
        shot = _describe(clients, started)
        if shot is None:
            return False
        if shot["State"] == "error":
            raise PublishError(
                f"EBS could not complete {snapshot_id}: {shot.get('StateMessage', 'no reason given')}"
            )
        return shot["State"] == "completed"

    progress(f"waiting for {snapshot_id} to complete")
    try:
        wait_until(completed, f"{snapshot_id} to complete", limit=COMPLETION_LIMIT)
    except TimeoutError as error:
        raise PublishError(str(error)) from error


class _Upload:
    """The upload of some blocks by a few threads. Each holds one block at a time: that bounds the memory."""

    def __init__(
        self, clients: Clients, started: Started, reader: DiskReader, indexes: list[int], progress: Progress
    ) -> None:
        self._ebs = clients.ebs
        self._started = started
        self._reader = reader
        self._indexes = indexes
        self._digests: dict[int, str] = {}
        self._progress = progress
        self._next = iter(indexes)
        self._lock = threading.Lock()

    def run(self) -> list[str]:
        """Send all; return the digests (hex) in the order of the indexes. The first failure ends all threads."""
        streams = min(BLOCK_STREAMS, max(1, len(self._indexes)))
        with ThreadPoolExecutor(max_workers=streams, thread_name_prefix="blocks") as pool:
            try:
                working = {pool.submit(self._work) for _ in range(streams)}
                while working:
                    done, working = wait(working, timeout=REPORT_EVERY, return_when=FIRST_EXCEPTION)
                    for worker in done:
                        worker.result()
                    self._report()
            finally:
                self._started.retries.stop.set()
        self._started.retries.stop.clear()
        return [self._digests[index] for index in self._indexes]

    def _report(self) -> None:
        sent, total = len(self._digests), len(self._indexes)
        if total == 0:
            self._progress("no block differs from the parent's")
            return
        self._progress(
            f"{sent} of {total} blocks sent ({sent * BLOCK_SIZE // 2**20} of {total * BLOCK_SIZE // 2**20} MiB)"
        )

    def _work(self) -> None:
        """Take block after block until there is none left, or until another thread failed."""
        try:
            for index in self._taken():
                data, digest = self._reader.read(index)
                self._started.retries.call(self._put(index, data, digest), f"write block {index}")
                self._digests[index] = digest.hex()
        except StoppedError:
            # The thread that failed tells why.
            return
        except BaseException:
            self._started.retries.stop.set()
            raise

    def _taken(self) -> Iterator[int]:
        while not self._started.retries.stop.is_set():
            with self._lock:
                index = next(self._next, None)
            if index is None:
                return
            yield index

    def _put(self, index: int, data: bytes, digest: bytes) -> Callable[[], object]:
        return lambda: self._ebs.put_snapshot_block(
            SnapshotId=self._started.snapshot_id,
            BlockIndex=index,
            BlockData=data,
            DataLength=len(data),
            Checksum=base64.b64encode(digest).decode(),
            ChecksumAlgorithm="SHA256",
        )
