"""A proxy before an AWS endpoint that fails chosen operations in chosen ways, and lets the rest pass."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit
from xml.sax.saxutils import escape

EBS_PATHS = [
    ("POST", r"/snapshots", "StartSnapshot"),
    ("POST", r"/snapshots/completion/[^/]+", "CompleteSnapshot"),
    ("PUT", r"/snapshots/[^/]+/blocks/\d+", "PutSnapshotBlock"),
    ("GET", r"/snapshots/[^/]+/blocks", "ListSnapshotBlocks"),
    ("GET", r"/snapshots/[^/]+/blocks/\d+", "GetSnapshotBlock"),
]
EBS = {name for _, _, name in EBS_PATHS}
S3 = {"PUT": "PutObject", "GET": "GetObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"}
# Operations of S3 by their method, what they ask for of an object or a bucket, and whether that is a bucket.
S3_PARTS = {
    ("HEAD", "", True): "HeadBucket",
    ("GET", "list-type", True): "ListObjectsV2",
    ("GET", "encryption", True): "GetBucketEncryption",
    ("GET", "publicAccessBlock", True): "GetPublicAccessBlock",
    ("GET", "tagging", False): "GetObjectTagging",
    ("POST", "delete", True): "DeleteObjects",
}
ALL_OF_S3 = {*S3.values(), *S3_PARTS.values()}
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
ANY = "*"
ANY_OF_S3 = "S3"
# What creates, and the codes with which AWS does not know it yet.
CREATIONS = ("StartSnapshot", "RegisterImage", "RunInstances", "PutParameter")
IDS = re.compile(rb"\b(?:snap|ami|i)-[0-9a-f]{8,17}\b")
UNKNOWN = {
    "snap": "InvalidSnapshot.NotFound",
    "ami": "InvalidAMIID.NotFound",
    "i": "InvalidInstanceID.NotFound",
    "": "ParameterNotFound",
}
LISTS = re.compile(rb"(<(reservationSet|imagesSet|snapshotSet)>).*(</\2>)", re.DOTALL)


@dataclass
class Fault:
    """How an operation fails: with an answer (``code``, ``status``), or without one.

    ``after`` calls pass first, then ``times`` fail (None: all): of ANY operation each, of ANY_OF_S3 together.
    ``lost``: the endpoint does the work, but its answer is lost. ``then`` is called before the fault shows.
    ``shape`` is that of an answer of success, for work that is done: malformed, empty or cut; or it is
    cut-request, for a request that is not whole. ``seconds``, by the proxy's clock, is how long an operation
    fails, from its first call on. ``once_made``: nothing fails before the endpoint has made something.
    """

    operation: str
    code: str | None = None
    status: int = 400
    lost: bool = False
    after: int = 0
    times: int | None = None
    then: Callable[[], None] | None = None
    shape: str | None = None
    seconds: float | None = None
    once_made: bool = False
    shown: Counter[str] = field(default_factory=Counter)
    first: dict[str, float] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)

    def hits(self, operation: str, now: float) -> bool:
        """Tell whether a call of an operation fails, and count it."""
        if self.operation == ANY_OF_S3 and operation in ALL_OF_S3:
            operation = ANY_OF_S3
        if self.operation not in (operation, ANY):
            return False
        if self.passed[operation] < self.after:
            self.passed[operation] += 1
            return False
        if self.times is not None and self.shown[operation] >= self.times:
            return False
        if self.seconds is not None and now - self.first.setdefault(operation, now) >= self.seconds:
            return False
        self.shown[operation] += 1
        return True


class FaultProxy:
    """Listens on loopback. ``seen`` counts the operations.

    ``console`` answers GetConsoleOutput by instance id; ``answers`` holds the XML with which other operations
    are answered. ``asks_first``: only when the endpoint does not refuse them for want of a permission.
    ``late``: seconds, by ``clock``, for which what was made is not known. ``rate``: bytes in a second that
    all requests have together; None: as fast as they come. ``limits`` gives the code with which a call
    (operation and form) is refused for being one too many, "" when it is not.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = urlsplit(endpoint)
        self.seen: Counter[str] = Counter()
        self.console: Callable[[str], str] | None = None
        self.answers: dict[str, str] = {}
        self.asks_first = False
        self.clock: Callable[[], float] = time.monotonic
        self.late = 0.0
        self.rate: float | None = None
        self.limits: Callable[[str, dict[str, list[str]]], str] | None = None
        self.made: dict[bytes, float] = {}
        self._faults: list[Fault] = []
        self._healed: list[Fault] = []
        self._lock = threading.Lock()
        self._line = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, operation: str, **how) -> Fault:
        fault = Fault(operation, **how)
        self._faults.append(fault)
        return fault

    def reset(self) -> None:
        """Begin as new: for another test."""
        self.heal()
        self._healed.clear()
        self.made.clear()
        self.clock = time.monotonic

    @property
    def never_shown(self) -> list[str]:
        """The faults since the last reset that no call met: a test that injects one has tested nothing."""
        return [str(fault) for fault in (*self._healed, *self._faults) if not fault.shown]

    def heal(self) -> None:
        """Fail nothing more, count from nothing, answer for no console."""
        self._healed += self._faults
        self._faults.clear()
        self.seen.clear()
        self.console = None
        self.answers.clear()
        self.late = 0.0
        self.rate = None
        self.limits = None

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fault_for(self, operation: str, *, cut: bool = False) -> Fault | None:
        """Count a call and return the fault that hits it; ``cut``: one that cuts the request off."""
        with self._lock:
            if not cut:
                self.seen[operation] += 1
            for fault in self._faults:
                if (fault.shape == "cut-request") != cut:
                    continue
                if fault.once_made and not self.made and operation not in CREATIONS:
                    continue
                if fault.hits(operation, self.clock()):
                    return fault
        return None

    def note_made(self, operation: str, request: bytes, answer: bytes) -> None:
        """Note when something was made."""
        created = IDS.findall(answer) if operation in CREATIONS else []
        if operation == "RunInstances":
            created = [name for name in created if name.startswith(b"i-")]
        if operation == "PutParameter":
            created = [json.loads(request)["Name"].encode()]
        with self._lock:
            for name in created:
                if name not in request or operation == "PutParameter":
                    self.made.setdefault(name, self.clock())

    def unknown_in(self, text: bytes) -> bytes | None:
        """Return what a text names that is not known yet."""
        with self._lock:
            young = [name for name, at in self.made.items() if self.clock() - at < self.late]
        return next((name for name in young if name in text), None)

    def carry(self, count: int) -> None:
        """Wait until so many bytes went over the line."""
        if self.rate is not None:
            with self._line:
                time.sleep(count / self.rate)


class _Server(ThreadingHTTPServer):
    """A small receive buffer: a line that is slow is felt by who sends."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        super().server_bind()


def operation_of(method: str, path: str, headers, body: bytes) -> tuple[str, dict[str, list[str]]]:
    target = headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2], {}
    for verb, pattern, name in EBS_PATHS:
        if method == verb and re.fullmatch(pattern, urlsplit(path).path):
            return name, {}
    form = parse_qs(body.decode("utf-8", "replace")) if method == "POST" else {}
    if "Action" in form:
        return form["Action"][0], form
    parts = urlsplit(path)
    asked = {word.partition("=")[0] for word in parts.query.split("&")}
    is_bucket = "/" not in parts.path.strip("/")
    named = (
        name
        for (verb, part, of), name in S3_PARTS.items()
        if (verb, of) == (method, is_bucket) and part in asked
    )
    return next(named, S3.get(method, "?")), {}


def error_answer(operation: str, fault: Fault, *, is_json: bool) -> tuple[str, bytes]:
    if operation in EBS:
        return "application/json", json.dumps({"Message": "injected"}).encode()
    if operation in ALL_OF_S3:
        return "application/xml", f"<Error><Code>{fault.code}</Code></Error>".encode()
    if is_json:
        return (
            "application/x-amz-json-1.1",
            json.dumps({"__type": fault.code, "message": "injected"}).encode(),
        )
    error = f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>"
    # EC2 and the other query protocols wrap errors differently; botocore's parsers each take their own part.
    text = f"<Response><Errors>{error}</Errors>{error}<RequestID>r</RequestID></Response>"
    return "text/xml", text.encode()


def console_answer(instance_id: str, text: str) -> bytes:
    encoded = base64.b64encode(text.encode()).decode()
    return (
        '<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
        f"<instanceId>{escape(instance_id)}</instanceId><timestamp>2026-01-01T00:00:00Z</timestamp>"
        f"<output>{encoded}</output></GetConsoleOutputResponse>"
    ).encode()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body are two writes: the second must not wait for the first one's acknowledgement.
        disable_nagle_algorithm = True

        def log_message(self, *_):
            """Say nothing."""

        def handle_any(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.body(length - length // 4)
            # Action is the first word of a form, so the operation is known without the rest of it.
            operation, _ = operation_of(self.command, self.path, self.headers, body)
            if proxy.fault_for(operation, cut=True) is not None:
                self.hang_up()
                return
            body += self.body(length - len(body))
            operation, form = operation_of(self.command, self.path, self.headers, body)
            fault = proxy.fault_for(operation) or self.not_known(operation, body)
            if fault is None and proxy.limits is not None and (code := proxy.limits(operation, form)):
                fault = Fault(operation, code=code, status=503)
            if fault is not None:
                self.show(fault, operation, body)
            elif operation in proxy.answers:
                self.unless_denied(body, proxy.answers[operation].encode())
            elif operation == "GetConsoleOutput" and proxy.console is not None:
                instance_id = form["InstanceId"][0]
                self.unless_denied(body, console_answer(instance_id, proxy.console(instance_id)))
            else:
                self.answer(*self.forward(body, operation))

        def hang_up(self):
            """Reset the connection, whatever is still on its way."""
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        def body(self, left):
            pieces = []
            while left:
                piece = self.rfile.read(min(left, 16384))
                if not piece:
                    break
                proxy.carry(len(piece))
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces)

        def not_known(self, operation, body):
            """Return the refusal of a call that names what is not known yet."""
            if operation in ("PutParameter", "StartSnapshot"):
                return None  # SSM checks AMIs later; a parent is old
            name = proxy.unknown_in(self.path.encode() + unquote_to_bytes(body[:65536]))
            if name is None:
                return None
            kind = "" if name.startswith(b"/") else name.partition(b"-")[0].decode()
            if operation in EBS:
                return Fault(operation, code="ResourceNotFoundException", status=404)
            return Fault(operation, code=UNKNOWN[kind])

        def unless_denied(self, body, text):
            """Answer for the endpoint, except where it enforces permissions and refuses."""
            status, headers, answer = self.forward(body, "") if proxy.asks_first else (200, {}, b"")
            if status == 403:
                self.answer(status, headers, answer)
            else:
                self.answer(200, {"Content-Type": "text/xml"}, text)

        def show(self, fault, operation, body):
            whole = (200, {}, b"")
            if fault.lost or fault.shape is not None:
                whole = self.forward(body, operation)
            if fault.then is not None:
                fault.then()
            if fault.shape == "malformed":
                kind = whole[1].get("Content-Type", "text/html")
                self.answer(200, {"Content-Type": kind}, b"<html>please log in</htm>")
            elif fault.shape == "empty":
                self.answer(200, {}, b"")
            elif fault.shape == "cut":
                self.answer(*whole, cut=True)
            elif fault.code is None:
                self.hang_up()
            else:
                self.refuse(fault, operation)

        def refuse(self, fault, operation):
            kind, text = error_answer(operation, fault, is_json="X-Amz-Target" in self.headers)
            self.answer(fault.status, {"Content-Type": kind, "x-amzn-ErrorType": fault.code}, text)

        def forward(self, body, operation):
            connection = http.client.HTTPConnection(proxy.endpoint.hostname, proxy.endpoint.port, timeout=60)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
                headers["Content-Length"] = str(len(body))
                connection.request(self.command, self.path, body=body, headers=headers)
                response = connection.getresponse()
                passed = {k: v for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP}
                if self.command == "HEAD":  # it says how long the answer to GET would be
                    passed["Content-Length"] = response.headers["Content-Length"]
                answer = response.read()
            finally:
                connection.close()
            if response.status < 300:
                proxy.note_made(operation, body, answer)
            if operation.startswith("Describe") and proxy.unknown_in(answer) is not None:
                answer = LISTS.sub(rb"\1\3", answer)
            return response.status, passed, answer

        def answer(self, status, headers, body, *, cut=False):
            try:
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body[: len(body) // 2] if cut else body)
                if cut:
                    self.close_connection = True
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed: that is what some tests are about

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's names

    return Handler
