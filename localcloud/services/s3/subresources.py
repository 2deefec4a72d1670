"""Subresources that moto lacks: refused.

moto takes a request for a subresource that it does not know as one for the bucket or the object itself. So
``GET ?analytics`` answered with a list of objects, and ``DELETE ?analytics`` deleted the bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from flask import Request, request
from moto.s3.responses import S3Response

from localcloud.core.patching import Patches
from localcloud.core.unimplemented import MARK

# As they are in the query. Source: Amazon S3 API reference, "Request Syntax" of each operation.
LACKING = frozenset(
    {
        "abac",
        "analytics",
        "annotation",
        "intelligent-tiering",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "renameObject",
        "requestPayment",
        "session",
        "torrent",
    }
)
# Of those that moto has, the methods that it lacks.
LACKING_METHODS = frozenset({("DELETE", "inventory")})


def install(patches: Patches) -> None:
    """Refuse what is asked of a subresource that is not there."""

    def refusing(original: Callable[..., object]) -> Callable[..., object]:
        def response(handler: object, asked: Request, full_url: str) -> object:
            names = parse_qs(urlsplit(full_url).query, keep_blank_values=True)
            lacking = [name for name in names if name in LACKING or (asked.method, name) in LACKING_METHODS]
            if not lacking:
                return original(handler, asked, full_url)
            request.environ[MARK] = f"{asked.method} ?{lacking[0]}"
            return 501, {}, ""

        return response

    patches.replace(S3Response, "_bucket_response", refusing)
    patches.replace(S3Response, "_key_response", refusing)
