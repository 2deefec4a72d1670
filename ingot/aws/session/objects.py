"""Reading one object of S3 with the caller's credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, cast

from botocore.exceptions import ClientError

from ingot.aws.session.clients import connect
from ingot.aws.session.failures import translated
from ingot.errors import IngotError

_MISSING = ("NoSuchKey", "NoSuchBucket", "404")


@contextmanager
def open_object(bucket: str, key: str) -> Iterator[tuple[int, BinaryIO]]:
    """Give the size of an object in bytes, and its content as a stream.

    Raises IngotError when it is not there, or the credentials may not read it.
    """
    with translated():
        try:
            answer = connect().s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise IngotError(f"there is no s3://{bucket}/{key}") from error
            raise
        with closing(answer["Body"]) as body:
            yield answer["ContentLength"], cast(BinaryIO, body)
