"""The instance metadata service (IMDSv2) of one machine.

Sources: EC2 User Guide, "Use the Instance Metadata Service to access instance metadata" (tokens, status
codes) and "Instance metadata categories". The hop limit is an IP TTL, which user-mode networking does not
keep: it is shown, not enforced.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
LONGEST_TTL = 21600  # seconds: six hours
# The versions that EC2 lists at /; each serves the same tree here.
VERSIONS = (
    "1.0",
    "2007-01-19",
    "2008-02-01",
    "2009-04-04",
    "2011-01-01",
    "2014-11-05",
    "2016-09-02",
    "2018-09-24",
    "2021-03-23",
    "2024-04-11",
    "latest",
)
IDLE_SECONDS = 60.0  # a connection on which nothing is asked for so long is closed

Leaf = str | bytes | Callable[[], str]
Tree = Mapping[str, Any]  # name -> Leaf or Tree


@dataclass(frozen=True)
class Options:
    """An instance's metadata options: ``enabled`` is HttpEndpoint, ``tokens_required`` is HttpTokens."""

    enabled: bool = True
    tokens_required: bool = True


@dataclass
class Metadata:
    """What one machine may know of itself.

    ``options`` and ``tree`` are asked at each request, as both may change while the machine runs. The tree
    holds what is below ``/latest/``: ``meta-data``, ``dynamic``, ``user-data``; a missing or None leaf is a
    404.
    """

    options: Callable[[], Options]
    tree: Callable[[], Tree]
    clock: Callable[[], float] = time.monotonic
    _tokens: dict[str, float] = field(default_factory=dict)

    def respond(self, method: str, path: str, headers: Message | Mapping[str, str]) -> Answer:
        """Answer one request."""
        options = self.options()
        if not options.enabled:
            return Answer(403)
        path = path.partition("?")[0]
        if method == "PUT":
            return self._token(headers) if path == TOKEN_PATH else Answer(405)
        if method not in ("GET", "HEAD"):
            return Answer(405)
        token = headers.get(TOKEN_HEADER)
        if token is None and options.tokens_required:
            return Answer(401)
        if token is not None and self._tokens.get(token, 0.0) <= self.clock():
            return Answer(401)
        return self._look_up(path)

    def _token(self, headers: Message | Mapping[str, str]) -> Answer:
        if headers.get("X-Forwarded-For") is not None:
            return Answer(403)  # the request came through a proxy that was not meant to pass it on
        wanted = headers.get(TTL_HEADER, "").strip()
        if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST_TTL:
            return Answer(400)
        now = self.clock()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        token = secrets.token_urlsafe(42)
        self._tokens[token] = now + int(wanted)
        return Answer(200, token.encode(), {TTL_HEADER: wanted})

    def _look_up(self, path: str) -> Answer:
        parts = [part for part in path.split("/") if part]
        if not parts:
            return Answer(200, "\n".join(VERSIONS).encode())
        if parts[0] not in VERSIONS:
            return Answer(404)
        found: Any = self.tree()
        for part in parts[1:]:
            if not isinstance(found, Mapping) or found.get(part) is None:
                return Answer(404)
            found = found[part]
        if isinstance(found, Mapping):
            return Answer(200, listing(found).encode())
        value = found() if callable(found) else found
        return Answer(200, value if isinstance(value, bytes) else str(value).encode())


def listing(tree: Tree) -> str:
    """Return the names in a directory, one a line; directories end in a slash."""
    names = sorted(name for name, value in tree.items() if value is not None)
    return "\n".join(f"{name}/" if isinstance(tree[name], Mapping) else name for name in names)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class MetadataServer:
    """Serves a machine's metadata to the connections that ``ingot.machines.relay`` hands
    over at a Unix socket.
    """

    def __init__(self, directory: Path, name: str, metadata: Metadata) -> None:
        self._path = directory / name
        self._metadata = metadata
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            # A Unix socket's path has at most 107 bytes (unix(7)); a directory may lie deeper than that.
            self._listener.bind(f"/proc/self/fd/{folder}/{name}")
        finally:
            os.close(folder)
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="metadata", daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:  # it has been stopped before
            return
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                relay, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(relay,), name="metadata", daemon=True).start()

    def _serve(self, relay: socket.socket) -> None:
        with relay:
            relay.settimeout(IDLE_SECONDS)
            try:
                _, descriptors, _, _ = socket.recv_fds(relay, 1, 1)
            except OSError:
                return
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as guest:
                try:
                    _handler(self._metadata)(guest, ("guest", 0), self)
                except (OSError, ValueError):
                    continue  # the guest hung up in the middle


def _handler(metadata: Metadata) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "EC2ws", ""
        timeout = IDLE_SECONDS

        def respond(self) -> None:
            length = self.headers.get("Content-Length", "0")
            self.rfile.read(int(length) if length.isdigit() else 0)
            answer = metadata.respond(self.command, self.path, self.headers)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        # The names that the base class calls.
        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Write nothing: guests ask every second while they boot."""

    return Handler
