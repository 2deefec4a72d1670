"""Where a bundle's parts are: under a prefix of its own in a bucket, readable for EC2."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from ingot.aws.session.failures import code_of
from ingot.aws.session.objects import ABSENT_OR_NO_BUCKET, delete_objects, listed, put_object
from ingot.aws.session.retry import reading_retries
from ingot.errors import InputError, VerificationError

if TYPE_CHECKING:
    from datetime import datetime

    from ingot.aws.session.clients import Clients

# Grants EC2 the right to read an object: S3 user guide, "Canned ACL". It is what ec2-upload-bundle sets.
_FOR_EC2: Literal["aws-exec-read"] = "aws-exec-read"


@dataclass(frozen=True)
class BundlePlace:
    """A bundle's objects: their bucket, and the start of their keys, which ends with a slash."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @classmethod
    def of(cls, location: str) -> BundlePlace:
        """Return where the objects of ``s3://BUCKET/PREFIX`` are; raise InputError for another text."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        if not location.startswith("s3://") or not bucket:
            raise InputError(f"bundles cannot be kept at {location!r}", hint="name it as s3://BUCKET/PREFIX")
        return cls(bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")

    @classmethod
    def of_image(cls, image_location: str) -> BundlePlace:
        """Return where the objects of an AMI are, by its ImageLocation: BUCKET/PREFIX/MANIFEST."""
        bucket, _, key = image_location.partition("/")
        return cls(bucket, f"{key.rpartition('/')[0]}/" if "/" in key else "")

    def below(self, *names: str) -> BundlePlace:
        """Return a place below this one."""
        return BundlePlace(self.bucket, self.prefix + "".join(f"{name}/" for name in names))

    def location(self, name: str) -> str:
        """Return an object as RegisterImage's ImageLocation names it."""
        return f"{self.bucket}/{self.prefix}{name}"


def put(clients: Clients, place: BundlePlace, name: str, data: bytes) -> None:
    """Write an object that EC2 may read. S3 refuses bytes that were damaged on the way.

    Raises InputError for a bucket that takes no access control lists.
    """
    try:
        digest = hashlib.sha256(data).hexdigest()
        put_object(clients.s3, digest, Bucket=place.bucket, Key=place.prefix + name, Body=data, ACL=_FOR_EC2)
    except ClientError as error:
        if code_of(error) != "AccessControlListNotSupported":
            raise
        raise InputError(
            f"the bucket {place.bucket} takes no access control lists, by which EC2 may read the parts",
            hint=f"aws s3api put-bucket-ownership-controls --bucket {place.bucket} "
            "--ownership-controls 'Rules=[{ObjectOwnership=BucketOwnerPreferred}]'",
        ) from error


def get(clients: Clients, place: BundlePlace, name: str) -> bytes:
    """Return an object's bytes. Raises VerificationError when there is none."""

    def read() -> bytes:
        return clients.s3.get_object(Bucket=place.bucket, Key=place.prefix + name)["Body"].read()

    try:
        return reading_retries().call(read, f"read {place}{name}")
    except ClientError as error:
        if code_of(error) in ABSENT_OR_NO_BUCKET:
            raise VerificationError(f"{place}{name} is not there: the bundle is not whole") from error
        raise


def older_than(clients: Clients, place: BundlePlace, before: datetime) -> list[BundlePlace]:
    """Return the bundles of a recipe, whose objects are at ``place``/VERSION/PUBLISH-ID/NAME, of which no
    object was written since ``before``.
    """
    newest: dict[BundlePlace, datetime] = {}
    for entry in listed(clients.s3, place.bucket, place.prefix):
        below = entry["Key"].removeprefix(place.prefix).split("/")
        if len(below) == 3:
            bundle = place.below(*below[:2])
            newest[bundle] = max(newest.get(bundle, entry["LastModified"]), entry["LastModified"])
    return [bundle for bundle, written in newest.items() if written < before]


def remove(clients: Clients, place: BundlePlace) -> int:
    """Remove all objects of a bundle; return how many there were. One that is gone already is fine.

    Raises InputError for a place that is a whole bucket, IngotError for objects that S3 keeps.
    """
    if not place.prefix:
        raise InputError(f"{place} is a whole bucket: its objects are not removed")
    try:
        keys = [entry["Key"] for entry in listed(clients.s3, place.bucket, place.prefix)]
    except ClientError as error:
        if code_of(error) in ABSENT_OR_NO_BUCKET:
            return 0
        raise
    delete_objects(clients.s3, place.bucket, keys)
    return len(keys)
