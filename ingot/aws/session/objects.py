"""Reading one object of S3 with the caller's credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from ingot.aws.session.clients import connect
from ingot.aws.session.failures import AwsError, explain, is_transient, translated
from ingot.errors import IngotError

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_MISSING = ("NoSuchKey", "NoSuchBucket", "404")


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
            if error.response["Error"]["Code"] in _MISSING:
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
