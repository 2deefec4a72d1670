"""AMIs as EC2 itself stores them in a bucket: one object for each, written and read by tasks of EC2's.

The object is AWS's and in a form of AWS's; what Ingot adds is a record beside it, which says what image it
is and what must come out of it: docs/archive.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import GRACE, Collected, newest
from ingot.aws.publish import ami
from ingot.aws.publish.image import Subject
from ingot.aws.publish.publish import enter_tested, publishing
from ingot.aws.registry import amis
from ingot.aws.registry.published import Published
from ingot.aws.session import tags
from ingot.aws.session.failures import code_of
from ingot.aws.session.waiting import wait_until
from ingot.errors import IngotError, PublishError, VerificationError
from ingot.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import StoreImageTaskResultTypeDef, TagSpecificationTypeDef

    from ingot.aws.publish.cleanup.attempt import Attempt
    from ingot.aws.publish.publication import Publication
    from ingot.aws.publish.settings import PublishSettings
    from ingot.aws.session.clients import Clients

FORMAT = 1
# Seconds. EC2 stores and restores at tens of MiB a second (EC2 user guide, "Store and restore an AMI using
# S3"), so even the largest AMI of Ingot's is through long before; a task that hangs must end some time.
LIMIT = 6 * 3600.0
LONGEST_PAUSE = 15.0
_RECORD = re.compile(r"(?P<recipe>[a-z0-9][a-z0-9-]*)/(?P<digest>[0-9a-f]{64})\.json")
# A record of any archive in the bucket: an object is at the top, so archives of several prefixes share it.
_ANY_RECORD = re.compile(rf"(?:.*/)?stored/{_RECORD.pattern}", re.DOTALL)
_OBJECT = re.compile(r"(?P<ami_id>ami-[0-9a-f]{8,17})\.bin")


@dataclass(frozen=True)
class Lineage:
    """What a stored AMI was: its object's key, its id, and where it was."""

    key: str
    ami_id: str
    account: str
    region: str


@dataclass(frozen=True)
class StoredImage:
    """A record in a list: an image that EC2 stored, and when the record was written."""

    recipe: str
    digest: str
    written: datetime


@dataclass(frozen=True)
class Record:
    """What is known of a stored image."""

    lineage: Lineage
    manifest: Mapping[str, Any]


def store(
    clients: Clients, bucket: Bucket, published: Published, manifest: Mapping[str, Any], progress: Progress
) -> Record:
    """Have EC2 store a published AMI, wait for it, and write the record; what is there is not stored again.

    Interrupted anywhere, the next run follows the task that runs, or writes the record that is missing.
    Raises PublishError when the task fails.
    """
    lineage = Lineage(f"{published.ami_id}.bin", published.ami_id, bucket.owner, clients.region)
    if not bucket.exists(lineage.key):
        _start(clients, bucket, published)
        _follow(clients, bucket, published.ami_id, progress)
    record = Record(lineage, manifest)
    data = json.dumps({"format": FORMAT, "stored": asdict(lineage), "manifest": manifest}, sort_keys=True)
    key = bucket.location.stored(published.recipe, published.digest)
    # Last: an image is in the archive when its record is.
    bucket.put(key, data.encode(), hashlib.sha256(data.encode()).hexdigest(), "application/json")
    return record


def _start(clients: Clients, bucket: Bucket, published: Published) -> None:
    """Start the task, unless there is one that runs."""
    task = _task(clients, bucket, published.ami_id)
    if task is not None and task.get("StoreTaskState") == "InProgress":
        return
    object_tags = {
        tags.RECIPE: published.recipe,
        tags.DIGEST: published.digest,
        tags.ROOT_DIGEST: published.root_digest,
    }
    try:
        clients.ec2.create_store_image_task(
            ImageId=published.ami_id,
            Bucket=bucket.location.bucket,
            S3ObjectTags=[{"Key": key, "Value": value} for key, value in object_tags.items()],
        )
    except ClientError:
        # The answer to an earlier try of this request may have been lost: EC2 then refuses the second one.
        task = _task(clients, bucket, published.ami_id)
        if task is None or task.get("StoreTaskState") == "Failed":
            raise


def _task(clients: Clients, bucket: Bucket, ami_id: str) -> StoreImageTaskResultTypeDef | None:
    """Return the newest task that stores the AMI in the bucket; None when there is none."""
    found = clients.ec2.describe_store_image_tasks(ImageIds=[ami_id])["StoreImageTaskResults"]
    tasks = [task for task in found if task.get("Bucket") == bucket.location.bucket]
    return max(tasks, key=lambda task: task["TaskStartTime"], default=None)


def _follow(clients: Clients, bucket: Bucket, ami_id: str, progress: Progress) -> None:
    """Wait until the task has ended; raise PublishError unless the object is there then."""
    reported = -1

    def ended() -> bool:
        nonlocal reported
        task = _task(clients, bucket, ami_id)
        state = None if task is None else task.get("StoreTaskState")
        if task is not None and state == "Failed":
            raise PublishError(
                f"EC2 could not store {ami_id} in {bucket.location.bucket}: "
                f"{task.get('StoreTaskFailureReason') or 'it gives no reason'}",
                hint="run the same command again",
            )
        percent = 0 if task is None else task.get("ProgressPercentage", 0)
        if percent != reported:
            reported = percent
            progress(f"EC2 stores {ami_id}: {percent} %")
        return state == "Completed" and bucket.exists(f"{ami_id}.bin")

    _wait(ended, f"EC2 to store {ami_id}")


def _wait(ended: Callable[[], bool], what: str) -> None:
    try:
        wait_until(ended, what, limit=LIMIT, longest=LONGEST_PAUSE)
    except TimeoutError as error:
        raise PublishError(str(error), hint="run the same command again: it goes on waiting") from error


def stored_images(bucket: Bucket) -> Iterator[StoredImage]:
    """Give the images of an archive that EC2 stored, by recipe and digest."""
    prefix = bucket.location.all_stored
    for entry in bucket.objects(prefix):
        match = _RECORD.fullmatch(entry.key.removeprefix(prefix))
        if match is not None:
            yield StoredImage(match["recipe"], match["digest"], entry.written)


def find_stored(bucket: Bucket, word: str) -> Record:
    """Return the record of the image of that recipe, the one stored last, or whose digest begins so.

    Raises InputError when there is none, or several digests begin so; VerificationError when it is damaged.
    """
    found = newest([*stored_images(bucket)], word, bucket.location)
    return _record(bucket, bucket.location.stored(found.recipe, found.digest), found.recipe, found.digest)


def _record(bucket: Bucket, key: str, recipe: str, digest: str) -> Record:
    """Return the record with this key. Raises VerificationError unless it is one of that image."""
    data = bucket.get(key)
    try:
        plain = json.loads(data or b"")
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']!r}")
        record = Record(Lineage(**plain["stored"]), dict(plain["manifest"]))
        named = (record.manifest["name"], record.manifest["recipe_digest"])
        if named != (recipe, digest):
            raise ValueError(f"it is of {named[0]} {named[1]}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise VerificationError(f"s3://{bucket.location.bucket}/{key} is damaged: {error!r}") from error
    return record


def collect_stored(clients: Clients, bucket: Bucket, now: datetime | None = None) -> Collected:
    """Remove the objects of stored AMIs that no record names, of any archive in the bucket.

    Raises VerificationError when a record is damaged: what it names is unknown. What stays without a record:
    an object that Ingot did not have stored, by its tags; one that was written less than GRACE before
    ``now``, for a record may be about to name it; and one that EC2 is storing or restoring.
    """
    before = (now or datetime.now(UTC)) - GRACE
    old = {
        match["ami_id"]: entry
        for entry in bucket.objects("ami-")
        if (match := _OBJECT.fullmatch(entry.key)) is not None and entry.written < before
    }
    kept = _kept(bucket) if old else set()
    unused = [
        entry
        for ami_id, entry in sorted(old.items())
        if entry.key not in kept
        and {tags.RECIPE, tags.DIGEST, tags.ROOT_DIGEST} <= bucket.tags(entry.key).keys()
        and not _busy(clients, bucket, ami_id)
    ]
    bucket.delete([entry.key for entry in unused])
    return Collected(len(unused), sum(entry.size for entry in unused))


def _kept(bucket: Bucket) -> set[str]:
    """Return the keys of the objects that records name, of every archive in the bucket."""
    found = ((entry.key, _ANY_RECORD.fullmatch(entry.key)) for entry in bucket.objects(""))
    return {
        _record(bucket, key, match["recipe"], match["digest"]).lineage.key
        for key, match in found
        if match is not None
    }


def _busy(clients: Clients, bucket: Bucket, ami_id: str) -> bool:
    """Whether EC2 is storing an AMI in the bucket, or restoring it from there."""
    task = _task(clients, bucket, ami_id)
    if task is not None and task.get("StoreTaskState") == "InProgress":
        return True
    return bool(amis.pending(clients, {tags.STORED_AS: ami_id}))


@dataclass(frozen=True)
class _Baked:
    """A manifest in the place of an image: nothing reads its disk."""

    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """The recipe digest."""
        return str(self.manifest["recipe_digest"])

    @property
    def disk(self) -> Path:
        """Raise IngotError: there is none."""
        raise IngotError("an AMI that EC2 stored has no disk on this machine")


def restore_stored(
    clients: Clients, bucket: Bucket, record: Record, settings: PublishSettings, progress: Progress
) -> Published:
    """Have EC2 restore a stored AMI under a new id, read it back, test it, and let the registry name it.

    ``settings.check_snapshot`` reads back: an AMI that is not, bit for bit, the image of the record is
    removed. Whatever fails, nothing is left. If the registry names an AMI of this image, nothing is restored.
    """
    manifest = dict(record.manifest)
    subject = replace(Subject.of(_Baked(manifest)), archive=settings.archive)
    with publishing(subject, clients, settings, progress) as (publication, existing):
        if existing is not None:
            return existing
        with publication.attempt() as attempt:
            published = _restore(bucket, record.lineage, publication, attempt)
            return enter_tested(publication, attempt, published)


def _restore(bucket: Bucket, lineage: Lineage, publication: Publication, attempt: Attempt) -> Published:
    clients, subject, progress = publication.clients, publication.subject, publication.progress
    values = subject.tags(attempt.publish_id) | {tags.STORED_AS: lineage.ami_id}
    sections = tags.inventory_tags(subject.manifest.get("inventory", {}))
    specifications: list[TagSpecificationTypeDef] = [
        {"ResourceType": "image", "Tags": tags.tag_list(values | sections)},
        {"ResourceType": "snapshot", "Tags": tags.tag_list(values)},
    ]
    name = subject.ami_name(attempt.publish_id)
    try:
        ami_id = clients.ec2.create_restore_image_task(
            Bucket=bucket.location.bucket, ObjectKey=lineage.key, Name=name, TagSpecifications=specifications
        )["ImageId"]
    except ClientError as error:
        if code_of(error) != "InvalidAMIName.Duplicate":
            raise
        ami_id = ami.named(clients, name)  # the answer to the first try was lost
    attempt.record("image", ami_id)
    # The stored tags say `published`, and nothing says which of two values wins where both are given: until
    # this image is proved, they must not.
    clients.ec2.create_tags(Resources=[ami_id], Tags=tags.tag_list(values))
    progress(f"EC2 restores {lineage.key} as {ami_id}")
    ami.wait_available(clients, ami_id, limit=LIMIT)
    image = amis.describe(clients, ami_id)
    snapshot_id = "" if image is None else amis.snapshot_of(image)
    if not snapshot_id:
        raise VerificationError(f"{ami_id} was restored without a root snapshot")
    attempt.record("snapshot", snapshot_id)
    clients.ec2.create_tags(Resources=[snapshot_id], Tags=tags.tag_list(values))
    publication.settings.check_snapshot(snapshot_id, subject.blocks)
    return Published(ami_id, snapshot_id, subject.recipe, subject.digest, subject.blocks.root_digest)
