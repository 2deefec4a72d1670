"""Objects of S3: written with their SHA-256, read with the caller's credentials, removed by the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from ingot.aws.session.clients import connect
from ingot.aws.session.failures import AwsError, code_of, explain, is_transient, translated
from ingot.blocks import as_checksum
from ingot.errors import IngotError

if TYPE_CHECKING:
    from typing import Unpack

    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        DeleteObjectsRequestTypeDef,
        ListObjectsV2RequestPaginateTypeDef,
        ObjectTypeDef,
        PutObjectRequestTypeDef,
    )

# S3's codes for an object that is not there; HeadObject has a status alone. Without the right to list, S3
# says 403: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
ABSENT = ("404", "NoSuchKey", "NotFound")
ABSENT_OR_NO_BUCKET = (*ABSENT, "NoSuchBucket")
PAGE = 1000  # keys in one DeleteObjects or ListObjectsV2: their limit


@contextmanager
def open_object(bucket: str, key: str) -> Iterator[tuple[int, BinaryIO]]:
    """Give the size of an object in bytes, and its content as a stream.

    Raises IngotError when it is not there, or the credentials may not read it. Reading raises ConnectionError
    when the content breaks off: the call was repeated where that helps, what comes after it was not.
    """
    with translated():
        try:
            answer = connect().s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in ABSENT_OR_NO_BUCKET:
                raise IngotError(f"there is no s3://{bucket}/{key}") from error
            raise
        with closing(answer["Body"]) as body:
            yield answer["ContentLength"], cast(BinaryIO, _Content(body))


class _Content:
    """The content of an object, to be read in pieces."""

    def __init__(self, body: StreamingBody) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        try:
            return self._body.read(size)
        except AwsError as error:
            if not is_transient(error):
                raise
            raise ConnectionError(explain(error)) from error


def put_object(s3: S3Client, sha256: str, **request: Unpack[PutObjectRequestTypeDef]) -> None:
    """Write an object. S3 refuses a body that does not have this SHA-256 (hex), and keeps it with the object.

    ``request``: PutObject's parameters.
    """
    request["ChecksumAlgorithm"] = "SHA256"
    request["ChecksumSHA256"] = as_checksum(sha256)
    s3.put_object(**request)


def listed(s3: S3Client, bucket: str, prefix: str, owner: str | None = None) -> Iterator[ObjectTypeDef]:
    """Give the objects of a bucket whose keys begin so, in their order; with ``owner`` only if it belongs to
    that account.
    """
    request: ListObjectsV2RequestPaginateTypeDef = {"Bucket": bucket, "Prefix": prefix}
    if owner is not None:
        request["ExpectedBucketOwner"] = owner
    for page in s3.get_paginator("list_objects_v2").paginate(**request):
        yield from page.get("Contents", [])


def delete_objects(s3: S3Client, bucket: str, keys: Sequence[str], owner: str | None = None) -> None:
    """Remove objects of a bucket; with ``owner`` only if it belongs to that account.

    Raises IngotError, naming the first, when S3 keeps some of them.
    """
    for start in range(0, len(keys), PAGE):
        request: DeleteObjectsRequestTypeDef = {
            "Bucket": bucket,
            "Delete": {"Objects": [{"Key": key} for key in keys[start : start + PAGE]], "Quiet": True},
        }
        if owner is not None:
            request["ExpectedBucketOwner"] = owner
        if errors := s3.delete_objects(**request).get("Errors"):
            first = errors[0]
            raise IngotError(
                f"{len(errors)} objects could not be removed, the first of them "
                f"s3://{bucket}/{first.get('Key')}: {first.get('Message')}"
            )
