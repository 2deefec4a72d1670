"""The EBS direct APIs over HTTP (REST-JSON), in front of moto.

A block is half a MiB and there are thousands of them, so requests take a short way: no parsing by the service
model.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from ingot.blocks import BLOCK_SIZE
from localcloud.core.context import CloudContext
from localcloud.services.ebs.errors import EbsError, full, invalid
from localcloud.services.ebs.reading import Reader
from localcloud.services.ebs.service import EbsService
from localcloud.services.ebs.snapshot import DirectSnapshot

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class EbsApi:
    """A WSGI application for requests that are signed for the service ``ebs``."""

    def __init__(self, context: CloudContext, service: EbsService) -> None:
        self.context = context
        self.service = service
        self.reader = Reader(service)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        # Read the body in any case: an answer to an unread request makes the client see a reset connection.
        body = request.get_data()
        try:
            response = self._guarded(request, body)
        except EbsError as error:
            response = _json(error.body(), error.status)
            response.headers["x-amzn-ErrorType"] = error.code
        return response(environ, start_response)

    def _guarded(self, request: Request, body: bytes) -> Response:
        try:
            return self._answer(request, body)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise full(self.service.files.directory) from error

    def _answer(self, request: Request, body: bytes) -> Response:
        region = signed_for(request.environ)[1]
        query = request.args.to_dict()
        match [request.method, *request.path.strip("/").split("/")]:
            case ["POST", "snapshots"]:
                return _json(_started(self.service.start(self.context.account, region, _parsed(body))), 201)
            case ["POST", "snapshots", "completion", snapshot_id]:
                return _json({"Status": self.service.complete(region, snapshot_id, _headers(request))}, 202)
            case ["PUT", "snapshots", snapshot_id, "blocks", index]:
                checksum = self.service.put(region, snapshot_id, _index(index), body, _headers(request))
                response = _json({}, 201)
                response.headers.update({"x-amz-Checksum": checksum, "x-amz-Checksum-Algorithm": "SHA256"})
                return response
            case ["GET", "snapshots", snapshot_id, "blocks"]:
                return _json(self.reader.list_blocks(region, snapshot_id, query), 200)
            case ["GET", "snapshots", snapshot_id, "changedblocks"]:
                return _json(self.reader.list_changed(region, snapshot_id, query), 200)
            case ["GET", "snapshots", snapshot_id, "blocks", index]:
                return self._block(region, snapshot_id, _index(index), query.get("blockToken", ""))
        raise invalid(f"There is no operation for {request.method} {request.path}")

    def _block(self, region: str, snapshot_id: str, index: int, token: str) -> Response:
        data, checksum = self.reader.get(region, snapshot_id, index, token)
        response = Response(data, 200, content_type="application/octet-stream")
        response.headers.update(
            {
                "x-amz-Data-Length": str(BLOCK_SIZE),
                "x-amz-Checksum": checksum,
                "x-amz-Checksum-Algorithm": "SHA256",
            }
        )
        return response


def signed_for(environ: dict[str, Any]) -> tuple[str, str]:
    """Return service and region of a request's signature (SigV4's credential scope).

    Empty when it has none.
    """
    credential = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition(",")[0]
    scope = credential.split("/")
    return (scope[3], scope[2]) if len(scope) == 5 else ("", "")


def _started(snapshot: DirectSnapshot) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "SnapshotId": snapshot.id,
        "OwnerId": snapshot.owner,
        "Status": "pending",
        "StartTime": snapshot.started.timestamp(),
        "VolumeSize": snapshot.volume_size,
        "BlockSize": BLOCK_SIZE,
        "Tags": snapshot.tags,
        "Description": snapshot.description,
        "SseType": "sse-kms" if snapshot.encrypted else "none",
    }
    if snapshot.parent is not None:
        answer["ParentSnapshotId"] = snapshot.parent
    if snapshot.kms_key is not None:
        answer["KmsKeyArn"] = snapshot.kms_key
    return answer


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise invalid("The request's body is not JSON") from error
    if not isinstance(parsed, dict):
        raise invalid("The request's body is not a JSON object")
    return parsed


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _index(text: str) -> int:
    if not text.isdigit():
        raise invalid(f"The block index is not a number: {text}", "INVALID_BLOCK")
    return int(text)


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
