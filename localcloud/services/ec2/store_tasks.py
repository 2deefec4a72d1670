"""AMIs as objects in S3: CreateStoreImageTask, DescribeStoreImageTasks, CreateRestoreImageTask.

Sources: EC2 API reference; EC2 user guide, "Store and restore an AMI using S3" and "Permissions for storing
and restoring AMIs using S3". Where the guide says what is refused and not with which code, the code is ours
(docs/differences.md). The form of the object is ours too: AWS's is not documented.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.responses.amis import AmisResponse
from moto.s3.models import s3_backends
from moto.utilities.tagging_service import TaggingService

from ingot.blocks import BLOCK_SIZE
from ingot.quantities import GIB
from localcloud.core.context import CloudContext
from localcloud.core.moto_types import BucketRecord, Ec2Handler
from localcloud.core.patching import Patches
from localcloud.services.ebs.service import EbsService
from localcloud.services.ebs.snapshot import CopyRequest
from localcloud.services.ec2.copies import KEPT
from localcloud.services.ec2.images import RegisteredImage, check_name
from localcloud.services.ec2.tags import check_tags

# "The size of an AMI (before compression)"; storage work in progress in an account: GiB. The guide's numbers
# for tasks in progress differ from place to place (600 and 1,200): the smaller one.
LARGEST, AT_ONCE = 5000, 600
# How long tasks are listed: API reference, DescribeStoreImageTasks.
LISTED = timedelta(days=31)
ASKED_FOR = 20  # AMI ids in one request
PAGE = 100
_MAGIC = b"localcloud AMI 1\n"
_HEAD = struct.Struct(">II")


@dataclass
class StoreTask:
    """The storing of one AMI. ``size``: GiB of its snapshots."""

    image_id: str
    bucket: str
    size: int
    started: datetime
    state: str = "InProgress"
    progress: int = 0
    reason: str = ""

    @property
    def key(self) -> str:
        """The object's key."""
        return f"{self.image_id}.bin"

    def shown(self) -> dict[str, Any]:
        """Return it as DescribeStoreImageTasks shows it."""
        found = {
            "AmiId": self.image_id,
            "Bucket": self.bucket,
            "S3objectKey": self.key,
            "ProgressPercentage": self.progress,
            "StoreTaskState": self.state,
            "TaskStartTime": self.started,
        }
        return found | ({"StoreTaskFailureReason": self.reason} if self.reason else {})


@dataclass
class StoreTasks:
    """All tasks of the cloud."""

    service: EbsService
    context: CloudContext
    tasks: list[StoreTask] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def install(self, patches: Patches) -> None:
        """Add what moto does not know."""
        patches.add(
            AmisResponse,
            create_store_image_task=lambda handler: self.create(handler),
            describe_store_image_tasks=lambda handler: self.describe(handler),
            create_restore_image_task=lambda handler: self.restore(handler),
        )

    # -- storing

    def create(self, handler: Ec2Handler) -> ActionResult:
        """CreateStoreImageTask."""
        image = _storable(handler, str(handler._get_param("ImageId") or ""))
        bucket = _bucket_of(handler)
        sizes = [int(handler.ec2_backend.snapshots[one].volume.size) for one in image.snapshot_ids]
        tags = {tag["Key"]: tag.get("Value", "") for tag in handler._get_param("S3ObjectTags") or []}
        task = StoreTask(image.id, bucket.name, sum(sizes), datetime.now(UTC))
        with self._lock:
            self._refuse_again(task, bucket)
            _refuse_large(task.size, sum(one.size for one in self.tasks if one.state == "InProgress"))
            handler.error_on_dryrun()
            self.tasks.insert(0, task)
        threading.Thread(
            target=self._store, args=(task, image, tags), name=f"store {image.id}", daemon=True
        ).start()
        return ActionResult({"ObjectKey": task.key})

    def _refuse_again(self, task: StoreTask, bucket: BucketRecord) -> None:
        running = any(
            (one.image_id, one.bucket, one.state) == (task.image_id, task.bucket, "InProgress")
            for one in self.tasks
        )
        if running or task.key in bucket.keys:
            raise EC2ClientError(
                "InvalidRequest",
                f"The AMI {task.image_id} is stored in the bucket {task.bucket} already, or is being stored "
                f"there: the object key is {task.key}.",
            )

    def _store(self, task: StoreTask, image: RegisteredImage, tags: Mapping[str, str]) -> None:
        try:
            data = b"".join(self._pieces(task, image))
            backend = s3_backends[self.context.account]["aws"]
            key = backend.put_object(task.bucket, task.key, data)
            object_tags = {"ami-name": image.name, "ami-id": image.id, "ami-owner": image.owner_id, **tags}
            tagger: TaggingService = backend.tagger
            tagger.tag_resource(
                key.arn, [{"Key": name, "Value": value} for name, value in object_tags.items()]
            )
            task.state, task.progress = "Completed", 100
        except Exception as error:  # noqa: BLE001 - a task has nobody to raise to; it says what happened
            self.context.log(f"store tasks: {task.image_id}: {error!r}")
            task.state, task.reason = "Failed", f"InternalError: {error}"

    def _pieces(self, task: StoreTask, image: RegisteredImage) -> Iterator[bytes]:
        """Give the object: what the AMI is, then each block of its snapshots, compressed."""
        backend = image.ec2_backend
        snapshots = [(one, *self.service.blocks_of(one)) for one in image.snapshot_ids]
        about = {
            "name": image.name,
            "description": image.description,
            "kept": {name: getattr(image, attribute, None) for name, attribute in KEPT.items()},
            "mappings": image.mappings,
            "tags": {tag["key"]: tag["value"] for tag in image.get_tags()},
            "snapshots": [
                {
                    "id": one,
                    "size": size // GIB,
                    "tags": {t["key"]: t["value"] for t in backend.snapshots[one].get_tags()},
                }
                for one, size, _ in snapshots
            ],
        }
        head = json.dumps(about).encode()
        yield _MAGIC + _HEAD.pack(len(head), len(snapshots)) + head
        total = sum(len(files) for _, _, files in snapshots) or 1
        done = 0
        for number, (_, _, files) in enumerate(snapshots):
            for index, file in sorted(files.items()):
                packed = zlib.compress(file.read_bytes(), 1)
                yield struct.pack(">III", number, index, len(packed)) + packed
                done += 1
                task.progress = min(99, done * 100 // total)

    def describe(self, handler: Ec2Handler) -> ActionResult:
        """DescribeStoreImageTasks: the newest first."""
        asked = handler._get_param("ImageIds") or []
        if len(asked) > ASKED_FOR:
            raise EC2ClientError(
                "InvalidParameterValue", f"Up to {ASKED_FOR} AMI IDs can be included in a request."
            )
        if asked and handler._get_param("MaxResults"):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter imageIds cannot be used with the parameter maxResults",
            )
        handler.error_on_dryrun()
        wanted = {one["Name"]: one["Values"] for one in handler._get_param("Filters") or []}
        with self._lock:
            shown = [
                task.shown()
                for task in self.tasks
                if datetime.now(UTC) - task.started < LISTED
                and (not asked or task.image_id in asked)
                and task.state in wanted.get("task-state", [task.state])
                and task.bucket in wanted.get("bucket", [task.bucket])
            ]
        size = handler._get_int_param("MaxResults") or PAGE
        start = int(handler._get_param("NextToken") or 0)
        answer: dict[str, Any] = {"StoreImageTaskResults": shown[start : start + size]}
        if start + size < len(shown):
            answer["NextToken"] = str(start + size)
        return ActionResult(answer)

    # -- restoring

    def restore(self, handler: Ec2Handler) -> ActionResult:
        """CreateRestoreImageTask: a new AMI, pending until its snapshots are whole."""
        backend, bucket = handler.ec2_backend, _bucket_of(handler)
        object_key = str(handler._get_param("ObjectKey") or "")
        stored = bucket.keys.get(object_key)
        if stored is None:
            raise EC2ClientError(
                "NoSuchKey", f"The object {object_key} does not exist in the bucket {bucket.name}."
            )
        about, blocks = _read(object_key, stored.value)
        name = handler._get_param("Name") or about["name"]
        check_name(backend, name)
        given = _given_tags(handler)
        _refuse_large(sum(one["size"] for one in about["snapshots"]), 0)
        handler.error_on_dryrun()
        parameters = {**about["kept"], "Name": name, "Description": about["description"]}
        image = RegisteredImage(backend, parameters, [])
        restored = {}
        for number, one in enumerate(about["snapshots"]):
            tags = tuple({**one["tags"], **given.get("snapshot", {})}.items())
            description = f"Restored for {image.id} from {bucket.name}/{object_key}"
            request = CopyRequest(one["id"], description, tags, None, None)
            restored[one["id"]] = self.service.made_of(
                handler.current_account, handler.region, request, size=one["size"], blocks=blocks[number]
            )
        for mapping in about["mappings"]:
            ebs = dict(mapping.get("Ebs") or {})
            if ebs.get("SnapshotId") in restored:
                snapshot = restored[ebs["SnapshotId"]]
                ebs |= {"SnapshotId": snapshot.id, "Encrypted": snapshot.encrypted}
            image.mappings.append({**mapping, **({"Ebs": ebs} if ebs else {})})
        backend.amis[image.id] = image
        image.add_tags({**about["tags"], **given.get("image", {})})
        return ActionResult({"ImageId": image.id})


def _storable(handler: Ec2Handler, image_id: str) -> RegisteredImage:
    """Return the AMI; raise EC2ClientError unless the caller may store it."""
    image = handler.ec2_backend.amis.get(image_id)
    if image is None:
        raise InvalidAMIIdError([image_id])
    shared = [permission.get("UserId") for permission in image.launch_permissions]
    if image.owner_id != handler.current_account and handler.current_account not in shared:
        raise EC2ClientError("AuthFailure", f"Not authorized for image:{image_id}")
    if image.state != "available":
        raise EC2ClientError(
            "InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available: it is {image.state}"
        )
    if not isinstance(image, RegisteredImage) or not image.snapshot_ids:
        raise EC2ClientError(
            "InvalidRequest", f"Only AMIs backed by Amazon EBS can be stored; {image_id} is not."
        )
    return image


def _bucket_of(handler: Ec2Handler) -> BucketRecord:
    """Return the bucket that a request names, which must be in the request's region."""
    name = handler._get_param("Bucket")
    if not name:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter Bucket")
    try:
        bucket: BucketRecord = s3_backends[handler.current_account]["aws"].get_bucket(name)
    except ServiceException as error:
        raise EC2ClientError("NoSuchBucket", f"The specified bucket {name} does not exist") from error
    if bucket.region_name != handler.region:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The bucket {name} is in the Region {bucket.region_name}; it must be in {handler.region}, where "
            "the request is made.",
        )
    return bucket


def _refuse_large(size: int, running: int) -> None:
    if size > LARGEST:
        raise EC2ClientError(
            "InvalidRequest", f"The AMI has {size} GB; the largest that can be stored has {LARGEST} GB."
        )
    if size + running > AT_ONCE:
        raise EC2ClientError(
            "ResourceCountExceeded",
            f"The quota of {AT_ONCE} GB of storage work in progress is exceeded: {running} GB are being "
            "stored.",
        )


def _given_tags(handler: Ec2Handler) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for specification in handler._get_param("TagSpecifications") or []:
        kind, tags = specification.get("ResourceType"), specification.get("Tags") or []
        if kind not in ("image", "snapshot"):
            raise EC2ClientError(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        check_tags(tags)
        found.setdefault(kind, {}).update({tag["Key"]: tag.get("Value", "") for tag in tags})
    return found


def _read(object_key: str, data: bytes) -> tuple[dict[str, Any], list[dict[int, bytes]]]:
    """Return what an object says of its AMI, and the blocks of each snapshot; raise EC2ClientError when it is
    not one of CreateStoreImageTask.
    """
    try:
        if not data.startswith(_MAGIC):
            raise ValueError("no AMI")
        at = len(_MAGIC)
        length, count = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        about: dict[str, Any] = json.loads(data[at : at + length])
        at += length
        blocks: list[dict[int, bytes]] = [{} for _ in range(count)]
        while at < len(data):
            number, index, size = struct.unpack_from(">III", data, at)
            at += 12
            block = zlib.decompress(data[at : at + size])
            if len(block) != BLOCK_SIZE:
                raise ValueError("a short block")
            blocks[number][index] = block
            at += size
    except (ValueError, IndexError, struct.error, zlib.error) as error:
        raise EC2ClientError(
            "InvalidRequest", f"The object {object_key} is not a stored AMI, or is damaged: {error}"
        ) from error
    return about, blocks
