"""Refusals in the form of the service that was asked: error codes, status codes and bodies by protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

# Services of JSON protocols whose requests have no X-Amz-Target.
JSON_SERVICES = frozenset({"ssm", "logs", "ebs", "kms", "secretsmanager"})
# (code, kind of service) -> (code, status, text or None for the refusal's own). Sources: "Common error types"
# of the services; EC2 API reference, "Error codes"; Amazon S3 API reference, "Error responses".
_WORDED: Mapping[tuple[str, str], tuple[str, int, str | None]] = {
    ("MissingAuthenticationToken", "json"): (
        "MissingAuthenticationTokenException",
        400,
        "Missing Authentication Token",
    ),
    ("MissingAuthenticationToken", "s3"): ("AccessDenied", 403, "Access Denied"),
    ("InvalidClientTokenId", "json"): ("UnrecognizedClientException", 400, None),
    ("InvalidClientTokenId", "ebs"): ("UnrecognizedClientException", 403, None),
    ("InvalidClientTokenId", "ec2"): (
        "AuthFailure",
        401,
        "AWS was not able to validate the provided access credentials",
    ),
    ("InvalidAction", "json"): ("UnknownOperationException", 400, None),
    ("InvalidAction", "s3"): ("NotImplemented", 501, None),
    ("InternalFailure", "ec2"): ("InternalError", 500, None),
    ("InternalFailure", "s3"): ("InternalError", 500, None),
    ("ExpiredToken", "json"): ("ExpiredTokenException", 400, None),
    ("ExpiredToken", "ec2"): ("RequestExpired", 400, None),
    ("ExpiredToken", "s3"): ("ExpiredToken", 400, None),
    ("InvalidClientTokenId", "s3"): (
        "InvalidAccessKeyId",
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
}
_WORDED_ANYWHERE: Mapping[str, tuple[str, int]] = {
    "InvalidAction": ("InvalidAction", 400),
    "InternalFailure": ("InternalFailure", 500),
    "ExpiredToken": ("ExpiredToken", 403),
}
_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    500: "Internal Server Error",
    501: "Not Implemented",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    ``service``: which one it is for, as the signature says; empty when unknown.
    """

    code: str
    message: str
    service: str = ""


def answer(refusal: Refusal, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request with a refusal as the service words it; 403 unless AWS has another status."""
    kind = _kind(refusal.service, environ)
    code, status, message = (
        _WORDED.get((refusal.code, kind))
        or (_WORDED.get((refusal.code, "json")) if kind == "ebs" else None)
        or (*_WORDED_ANYWHERE.get(refusal.code, (refusal.code, 403)), None)
    )
    content_type, body = _body(kind, code, message or refusal.message, environ)
    headers = [("Content-Type", content_type), ("x-amzn-ErrorType", code), ("Content-Length", str(len(body)))]
    if "HTTP_X_AMZN_QUERY_MODE" in environ:  # of a service that once spoke the query protocol, with its codes
        headers.append(("x-amzn-query-error", f"{refusal.code};Sender"))
    if "HTTP_SMITHY_PROTOCOL" in environ:
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    start_response(f"{status} {_REASONS[status]}", headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def _kind(service: str, environ: Mapping[str, Any]) -> str:
    if service in ("ec2", "s3", "ebs"):
        return service
    if service in JSON_SERVICES or "HTTP_X_AMZ_TARGET" in environ or "HTTP_SMITHY_PROTOCOL" in environ:
        return "json"
    content = str(environ.get("CONTENT_TYPE", ""))
    if content.startswith("application/json"):
        return "json"
    form = content.startswith("application/x-www-form-urlencoded")
    # A request that names no service is one of the query protocol, or else one for S3.
    return "query" if service or form else "s3"


def _body(kind: str, code: str, message: str, environ: Mapping[str, Any]) -> tuple[str, bytes]:
    if "HTTP_SMITHY_PROTOCOL" in environ:
        return "application/cbor", b"\xa2" + b"".join(map(_cbor_text, ("__type", code, "message", message)))
    if kind in ("json", "ebs"):
        document = {"__type": code, "message": message, "Message": message}
        return "application/x-amz-json-1.1", json.dumps(document).encode()
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    whole = {"ec2": f"<Response><Errors>{error}</Errors></Response>", "s3": error}
    return "text/xml", whole.get(kind, f"<ErrorResponse>{error}</ErrorResponse>").encode()


def _cbor_text(text: str) -> bytes:
    """Encode a text of fewer than 65,536 bytes (RFC 8949, major type 3 with a length of two bytes)."""
    content = text.encode()
    return b"\x79" + len(content).to_bytes(2, "big") + content
