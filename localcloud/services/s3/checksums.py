"""The SHA-256 of an object or part: compared with what came.

moto keeps the checksum that a client sends without a look at the body, so an object that was damaged on its
way was taken. AWS: "Checking object integrity in Amazon S3", Amazon S3 user guide; ``BadDigest`` in "Error
responses" of the API reference.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

from localcloud.core.moto_types import S3Handler
from localcloud.core.patching import Patches

HEADER = "x-amz-checksum-sha256"


def install(patches: Patches) -> None:
    """Refuse a body whose SHA-256 is not the one of its request."""

    def comparing(original: Callable[[S3Handler], object]) -> Callable[[S3Handler], object]:
        def put(handler: S3Handler) -> object:
            expected = handler.headers.get(HEADER)
            if expected is not None:
                digest = hashlib.sha256(handler.body or b"").digest()
                if expected != base64.b64encode(digest).decode():
                    raise S3ClientError(
                        "BadDigest", "The SHA256 you specified did not match the calculated checksum."
                    )
            return original(handler)

        return put

    patches.replace(S3Response, "put_object", comparing)
    patches.replace(S3Response, "upload_part", comparing)
