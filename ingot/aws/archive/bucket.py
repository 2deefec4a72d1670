"""The bucket of an archive: what is asked of it, and its objects, each held against its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.session.failures import code_of
from ingot.aws.session.objects import ABSENT, delete_objects, listed, put_object
from ingot.aws.session.retry import reading_retries
from ingot.blocks import as_checksum
from ingot.errors import InputError, VerificationError

if TYPE_CHECKING:
    from datetime import datetime

    from botocore.response import StreamingBody

    from ingot.aws.session.clients import Clients

_NO_ENCRYPTION = "ServerSideEncryptionConfigurationNotFoundError"
_NO_BLOCK = "NoSuchPublicAccessBlockConfiguration"
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_PIECE = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class StoredObject:
    """An object in a list: its key, its size in bytes, and when it was written."""

    key: str
    size: int
    written: datetime


class Bucket:
    """The bucket of an archive, which must belong to ``owner``: the id of an account."""

    def __init__(self, clients: Clients, location: ArchiveLocation, owner: str) -> None:
        self.location = location
        self.owner = owner
        self._s3 = clients.s3
        self._owner = owner

    def check(self) -> None:
        """Raise InputError unless the bucket is there, is the owner's, is encrypted by default, and cannot be
        made public.
        """
        bucket = self.location.bucket
        named = {"Bucket": bucket, "ExpectedBucketOwner": self._owner}
        try:
            self._s3.head_bucket(**named)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchBucket"):
                raise InputError(f"there is no bucket {bucket}") from error
            if code_of(error) in ("403", "AccessDenied"):
                raise InputError(
                    f"the bucket {bucket} does not belong to the account {self._owner}, or may not be used",
                    hint="name the account that owns it with --bucket-owner",
                ) from error
            raise
        try:
            self._s3.get_bucket_encryption(**named)
        except ClientError as error:
            if code_of(error) != _NO_ENCRYPTION:
                raise
            raise InputError(
                f"the bucket {bucket} has no default encryption: the image would be stored unencrypted",
                hint=f"aws s3api put-bucket-encryption --bucket {bucket} "
                "--server-side-encryption-configuration "
                '\'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}\'',
            ) from error
        try:
            answer = self._s3.get_public_access_block(**named)
        except ClientError as error:
            if code_of(error) != _NO_BLOCK:
                raise
            blocked = False
        else:
            settings = answer["PublicAccessBlockConfiguration"]
            blocked = all(settings.get(name) for name in _BLOCKS)
        if not blocked:
            raise InputError(
                f"public access to the bucket {bucket} is not blocked",
                hint=f"aws s3api put-public-access-block --bucket {bucket} "
                "--public-access-block-configuration " + ",".join(f"{name}=true" for name in _BLOCKS),
            )

    def has(self, key: str, digest: str, size: int) -> bool:
        """Whether there is an object with this key whose bytes S3 found to have this SHA-256.

        One that is another, or that was written without a checksum, counts as absent.
        """
        try:
            answer = self._s3.head_object(
                Bucket=self.location.bucket, Key=key, ExpectedBucketOwner=self._owner, ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if code_of(error) in ABSENT:
                return False
            raise
        return answer.get("ChecksumSHA256") == as_checksum(digest) and answer["ContentLength"] == size

    def exists(self, key: str) -> bool:
        """Whether there is an object with this key, whatever it is."""
        try:
            self._s3.head_object(Bucket=self.location.bucket, Key=key, ExpectedBucketOwner=self._owner)
        except ClientError as error:
            if code_of(error) in ABSENT:
                return False
            raise
        return True

    def put(self, key: str, data: bytes, digest: str, kind: str = "application/octet-stream") -> None:
        """Write an object. S3 refuses bytes that do not have this SHA-256."""
        put_object(
            self._s3,
            digest,
            Bucket=self.location.bucket,
            Key=key,
            Body=data,
            ContentType=kind,
            ExpectedBucketOwner=self._owner,
        )

    def get(self, key: str, digest: str | None = None) -> bytes | None:
        """Return an object's bytes, None when there is none of that key.

        Raises VerificationError when they do not have the SHA-256 ``digest``, unless that is None.
        """
        for attempt in range(2):
            data = self._read(key, lambda body: body.read())
            if data is None:
                return None
            found = hashlib.sha256(data).hexdigest()
            if digest is None or found == digest:
                return data
            if attempt:  # the transfer may have damaged it once; what comes again is what S3 holds
                break
        raise VerificationError(
            f"s3://{self.location.bucket}/{key} is damaged: it has SHA-256 {found}, expected {digest}",
            hint="archive the image again from a machine that still has it; that replaces the block",
        )

    def put_file(self, key: str, file: Path, digest: str) -> None:
        """Write a file as an object. S3 refuses bytes that do not have this SHA-256."""
        with file.open("rb") as body:
            put_object(
                self._s3,
                digest,
                Bucket=self.location.bucket,
                Key=key,
                Body=body,
                ExpectedBucketOwner=self._owner,
            )

    def get_file(self, key: str, digest: str, target: Path) -> bool:
        """Write an object to a file; return False when there is none of that key.

        Raises VerificationError when it does not have the SHA-256 ``digest``; then no file is left.
        """

        def receive(body: StreamingBody) -> str:
            seen = hashlib.sha256()
            with target.open("wb") as file:
                while piece := body.read(_PIECE):
                    seen.update(piece)
                    file.write(piece)
            return seen.hexdigest()

        try:
            found = self._read(key, receive)
            if found is None:
                return False
            if found != digest:
                raise VerificationError(
                    f"s3://{self.location.bucket}/{key} is damaged: it has SHA-256 {found}",
                    hint="delete the object; a machine that has the content writes it again",
                )
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return True

    def _read(self, key: str, take: Callable[[StreamingBody], T]) -> T | None:
        """Return what ``take`` makes of an object's body, which it is given again when that breaks off; None
        when there is no object of that key.
        """
        bucket = self.location.bucket

        def read() -> T:
            return take(self._s3.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)["Body"])

        try:
            return reading_retries().call(read, f"read s3://{bucket}/{key}")
        except ClientError as error:
            if code_of(error) in ABSENT:
                return None
            raise

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Give the objects whose keys begin so, in their order."""
        for entry in listed(self._s3, self.location.bucket, prefix, self._owner):
            yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"])

    def tags(self, key: str) -> dict[str, str]:
        """Return an object's tags; none when there is no object of that key."""
        try:
            answer = self._s3.get_object_tagging(
                Bucket=self.location.bucket, Key=key, ExpectedBucketOwner=self._owner
            )
        except ClientError as error:
            if code_of(error) in ABSENT:
                return {}
            raise
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def delete(self, keys: list[str]) -> None:
        """Remove objects. Raises IngotError, naming the first, when S3 keeps some of them."""
        delete_objects(self._s3, self.location.bucket, keys, self._owner)
