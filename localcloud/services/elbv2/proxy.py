"""The data plane of a load balancer: takes requests on a loopback port and passes them to targets.

Source: ELB user guide for Application Load Balancers, "HTTP headers and Application Load Balancers",
"Troubleshoot your Application Load Balancers" (503 without targets, 502 when a target closes the connection,
504 when it is silent).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from localcloud.services.elbv2.rules import RoutedRequest, choose_actions, redirect_location
from localcloud.services.elbv2.targets import Target, TargetGroup

# idle_timeout.timeout_seconds: a target that is silent for so long costs the client a 504, and a connection
# that is idle is reused until then.
IDLE_SECONDS = 60.0
CONNECT_SECONDS = 10.0  # ALB's limit for a connection to a target
# RFC 9110 section 7.6.1: what belongs to one connection is not passed on.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
CHUNK = 65536

# (target id, port, target group's ARN) -> (host, port), or None when it cannot be reached
Address = Callable[[str, int, str], Awaitable[tuple[str, int] | None]]


@dataclass
class Listener:
    """A listener: where its rules and its target groups come from, asked at each request."""

    port: int  # that of AWS
    rules: Callable[[], list[Any]]
    group: Callable[[str], TargetGroup | None]
    address: Address
    session: aiohttp.ClientSession
    protocol: str = "HTTP"
    reached: Mapping[int, int] = field(default_factory=dict)  # port of AWS -> port of this machine
    # (target group's ARN, status, whether it is a target's, seconds until the target answered)
    served: Callable[[str, int, bool, float], None] = lambda group, status, from_target, seconds: None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request by the actions of the first rule that fits it."""
        answer = await self._answered(request)
        if not isinstance(answer, _FromTarget):
            self.served("", answer.status, False, 0.0)
        return answer

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = _seen(request, self.port, self.protocol)
        for action in choose_actions(self.rules(), seen):
            data = action.data
            if data["Type"] == "fixed-response":
                config = data["FixedResponseConfig"]
                body = str(config.get("MessageBody") or "")
                return _answer(
                    int(config["StatusCode"]), body, str(config.get("ContentType") or "text/plain")
                )
            if data["Type"] == "redirect":
                config = data["RedirectConfig"]
                status = int(str(config["StatusCode"]).removeprefix("HTTP_"))
                return web.Response(
                    status=status, headers={"Location": redirect_location(config, seen, self.reached)}
                )
            if data["Type"] == "forward":
                return await self._forward(request, seen, _target_group(data))
        return error(503)

    async def _forward(self, request: web.BaseRequest, seen: RoutedRequest, arn: str) -> web.StreamResponse:
        group = self.group(arn)
        target = group.choose() if group else None
        if target is None:
            return error(503)
        target.open += 1
        try:
            return await self._pass_on(request, seen, target, arn)
        finally:
            target.open -= 1

    async def _pass_on(
        self, request: web.BaseRequest, seen: RoutedRequest, target: Target, arn: str
    ) -> web.StreamResponse:
        address = await self.address(target.id, target.port, arn)
        if address is None:
            return error(504)  # nobody there, or a security group drops the packets
        body = request.content if request.body_exists else None
        begun = time.monotonic()
        try:
            answer = await self.session.request(
                request.method,
                f"http://{address[0]}:{address[1]}{request.raw_path}",
                headers=_headers(request, seen),
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding", "Accept"),
            )
        except TimeoutError:
            return error(504)
        except aiohttp.ClientError:
            return error(502)
        self.served(arn, answer.status, True, time.monotonic() - begun)
        async with answer:
            return await _relay(request, answer)


class _FromTarget(web.StreamResponse):
    """An answer that is a target's."""


async def _relay(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP)
    response = _FromTarget(status=answer.status, reason=answer.reason, headers=headers)
    if (
        "Content-Length" not in headers
        and answer.status not in (204, 304)
        and request.version >= aiohttp.HttpVersion11
    ):
        response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_chunked(CHUNK):
            await response.write(chunk)
    except (aiohttp.ClientError, TimeoutError):
        # The status has gone out: all that is left is to break the connection, so that the client sees the
        # body is cut off.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _seen(request: web.BaseRequest, port: int, protocol: str) -> RoutedRequest:
    path, _, query = request.raw_path.partition("?")
    client = request.remote or "127.0.0.1"
    return RoutedRequest(
        request.method, request.headers.get("Host", ""), path, query, request.headers, client, port, protocol
    )


def _headers(request: web.BaseRequest, seen: RoutedRequest) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP | named)
    before = request.headers.getall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*before, seen.client])
    headers["X-Forwarded-Proto"] = seen.protocol.lower()
    headers["X-Forwarded-Port"] = str(seen.port)
    headers.setdefault("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}")
    return headers


def _target_group(data: dict[str, Any]) -> str:
    """Return the target group of a forward action, by weight where there are several."""
    groups = (data.get("ForwardConfig") or {}).get("TargetGroups") or []
    weighted = [group for group in groups for _ in range(int(group.get("Weight", 1)))]
    if weighted:
        return str(secrets.choice(weighted)["TargetGroupArn"])
    return str(data.get("TargetGroupArn", ""))


def _answer(status: int, body: str, kind: str) -> web.Response:
    return web.Response(
        status=status, body=body.encode(), headers={"Content-Type": kind, "Server": "awselb/2.0"}
    )


ERRORS = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


def error(status: int) -> web.Response:
    """Return the load balancer's own error page."""
    title = f"{status} {ERRORS[status]}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return _answer(status, page, "text/html")


def client_session() -> aiohttp.ClientSession:
    """Return the connections to targets.

    A request that finds its kept connection closed is sent again if it is idempotent.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS)
    return aiohttp.ClientSession(
        timeout=timeout, connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    )


async def check(session: aiohttp.ClientSession, url: str, timeout: float) -> tuple[int | None, str]:
    """Ask once for a health check: return the status, or None and the reason code."""
    try:
        limit = aiohttp.ClientTimeout(total=timeout)
        headers = {"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"}
        async with session.get(url, timeout=limit, headers=headers, allow_redirects=False) as answer:
            return answer.status, ""
    except TimeoutError:
        return None, "Target.Timeout"
    except (aiohttp.ClientError, asyncio.IncompleteReadError):
        return None, "Target.FailedHealthChecks"
