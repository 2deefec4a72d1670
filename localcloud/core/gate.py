"""Who may use the cloud at all: holders of its key, of a user's or of a role's, and no web page.

Loopback keeps the network out, not the browser of this machine: any page may send requests to 127.0.0.1, and
a name that its owner rebinds to 127.0.0.1 even reads the answers. So a request passes only if no other site
sent it (Origin, Sec-Fetch-Site), if it names this machine (Host), and if its access key is known: the cloud's
own, which is a secret of its directory, or one that IAM or STS gave out. Signatures are not checked:
knowing the key is enough. Permissions are another matter (:mod:`localcloud.core.permissions`).

Sources: Fetch standard, "Origin"; W3C Fetch Metadata; IAM user guide, "Troubleshoot signed requests", and
"Common error types" of each service.
"""

from __future__ import annotations

import hmac
import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from moto.iam.access_control import CreateAccessKeyFailure, create_access_key

from ingot.machines.qemu import GATEWAY
from localcloud.core.context import CloudContext
from localcloud.core.refusals import Refusal, answer
from localcloud.core.sessions import STS_ACTIONS

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

READY = "/ingot/ready"  # the one path that needs no key: it tells a pid
# Guests reach this machine's loopback by the gateway of their network. Names below localhost are loopback
# everywhere (RFC 6761), so that nobody can rebind them; they are how S3 names a bucket's host.
HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", GATEWAY})
HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+)(?::[0-9]+)?")
# moto's own: reset, recorded data, its dashboard; and instance metadata that belongs to no instance.
ADMIN = re.compile(r"/*(moto-api|latest/(meta-data|api|dynamic|user-data))(/|$)", re.IGNORECASE)
# "Calling the AssumeRoleWithWebIdentity operation does not require the use of AWS security credentials" (STS
# API reference), and the same for SAML.
UNSIGNED = frozenset({"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"})
LONGEST_UNSIGNED = 1 << 20  # bytes of a request that may be read before its sender is known
KEY = re.compile(r"(?:Credential=|^AWS )([A-Za-z0-9]+)")
SCOPE = re.compile(r"[^/]+/[0-9]{8}/[^/]*/([^/]+)/aws4_request")


def guarded(application: WsgiApp, context: CloudContext) -> WsgiApp:
    """Return an application that refuses what may not use the cloud, and passes on the rest."""

    def gate(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        refusal = _foreign(environ, context.port) or _unknown(environ, context)
        if refusal is None:
            return application(environ, start_response)
        _drain(environ)
        return answer(refusal, environ, start_response)

    return gate


def _foreign(environ: Mapping[str, Any], port: int) -> Refusal | None:
    """Refuse what a web page sent, what came by a name of others, and the emulator's own paths."""
    host = HOST.fullmatch(str(environ.get("HTTP_HOST", "")).lower())
    if host is None or not (host[1] in HOSTS or host[1].endswith(".localhost")):
        return Refusal(
            "AccessDenied", "The local cloud answers to names of this machine only: localhost, 127.0.0.1"
        )
    origin = environ.get("HTTP_ORIGIN")
    own = {f"http://{name}:{port}" for name in ("localhost", "127.0.0.1")}
    if (origin is not None and origin not in own) or environ.get("HTTP_SEC_FETCH_SITE") in (
        "cross-site",
        "same-site",
    ):
        return Refusal("AccessDenied", "The local cloud takes no requests of web pages")
    if ADMIN.match(str(environ.get("PATH_INFO", ""))):
        return Refusal("AccessDenied", "This path is not part of AWS")
    return None


def _unknown(environ: dict[str, Any], context: CloudContext) -> Refusal | None:
    """Refuse a request without a known access key, in the words of the service that it is for."""
    if environ.get("PATH_INFO") == READY:
        return None
    query = {
        name.lower(): values[0] for name, values in parse_qs(str(environ.get("QUERY_STRING", ""))).items()
    }
    authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
    presigned = query.get("x-amz-credential") or query.get("awsaccesskeyid") or ""
    header = KEY.search(authorization)
    key = header[1] if header else presigned.partition("/")[0]
    service = SCOPE.search(authorization) or SCOPE.search(presigned)
    if not key:
        if _action(environ) in UNSIGNED:
            return None
        return Refusal("MissingAuthenticationToken", "Request is missing Authentication Token")
    if hmac.compare_digest(key.encode(), context.access_key.encode()):
        return None
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or query.get("x-amz-security-token")
    name = service[1] if service else "s3" if presigned else ""
    session = context.sessions.owner_of(key, str(token or ""))
    if session is not None:
        owner, expired = session
        if expired:
            return Refusal("ExpiredToken", "The security token included in the request is expired", name)
        return _as_owner(environ, name, key, owner)
    try:
        create_access_key(context.account, "aws", key, {"X-Amz-Security-Token": token} if token else {})
    except CreateAccessKeyFailure:
        return Refusal("InvalidClientTokenId", "The security token included in the request is invalid.", name)
    return None


def _as_owner(environ: dict[str, Any], service: str, key: str, owner: str) -> Refusal | None:
    """Let a session's request go on as one of its owner; refuse what a session may not call."""
    if service == "iam":
        return Refusal(
            "InvalidClientTokenId", "The security token included in the request is invalid.", service
        )
    if service == "sts" and (action := _action(environ)) not in STS_ACTIONS:
        return Refusal("AccessDenied", f"Cannot call {action} with session credentials", service)
    for name in ("HTTP_AUTHORIZATION", "QUERY_STRING"):
        if name in environ:
            environ[name] = str(environ[name]).replace(key, owner)
    environ.pop("HTTP_X_AMZ_SECURITY_TOKEN", None)
    return None


def _action(environ: dict[str, Any]) -> str:
    """Return the action of an unsigned request of the query protocol.

    Empty for other requests.
    """
    length = int(environ.get("CONTENT_LENGTH") or 0)
    form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    if environ.get("REQUEST_METHOD") != "POST" or not form or length > LONGEST_UNSIGNED:
        return ""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]


def _drain(environ: dict[str, Any]) -> None:
    """Read the body: an answer to a request that was not read makes its sender see a reset connection."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        part = environ["wsgi.input"].read(min(left, 1 << 16))
        if not part:
            return
        left -= len(part)
