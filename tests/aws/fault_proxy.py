"""A proxy before an AWS endpoint that fails chosen operations in chosen ways, and lets the rest pass."""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

EBS_PATHS = [
    ("POST", r"/snapshots", "StartSnapshot"),
    ("POST", r"/snapshots/completion/[^/]+", "CompleteSnapshot"),
    ("PUT", r"/snapshots/[^/]+/blocks/\d+", "PutSnapshotBlock"),
    ("GET", r"/snapshots/[^/]+/blocks", "ListSnapshotBlocks"),
    ("GET", r"/snapshots/[^/]+/blocks/\d+", "GetSnapshotBlock"),
]
EBS = {name for _, _, name in EBS_PATHS}
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Fault:
    """How an operation fails: with an answer (``code``, ``status``), or without one.

    ``after`` calls pass first, then ``times`` fail (None: all). ``lost``: the endpoint does the work, but its
    answer is lost. ``then`` is called before the fault shows.
    """

    operation: str
    code: str | None = None
    status: int = 400
    lost: bool = False
    after: int = 0
    times: int | None = None
    then: Callable[[], None] | None = None
    shown: int = 0


class FaultProxy:
    """Listens on loopback. ``seen`` counts the operations.

    ``console`` answers GetConsoleOutput by instance id; ``answers`` holds the XML with which other operations
    are answered. ``asks_first``: only when the endpoint does not refuse them for want of a permission.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = urlsplit(endpoint)
        self.seen: Counter[str] = Counter()
        self.console: Callable[[str], str] | None = None
        self.answers: dict[str, str] = {}
        self.asks_first = False
        self._faults: list[Fault] = []
        self._healed: list[Fault] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, operation: str, **how) -> None:
        self._faults.append(Fault(operation, **how))

    def reset(self) -> None:
        """Begin as new: for another test."""
        self.heal()
        self._healed.clear()

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

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fault_for(self, operation: str) -> Fault | None:
        """Count a call and return the fault that hits it."""
        with self._lock:
            self.seen[operation] += 1
            for fault in self._faults:
                if fault.operation != operation:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                elif fault.times is None or fault.times > 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    fault.shown += 1
                    return fault
        return None


def operation_of(method: str, path: str, headers, body: bytes) -> tuple[str, dict[str, list[str]]]:
    target = headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2], {}
    for verb, pattern, name in EBS_PATHS:
        if method == verb and re.fullmatch(pattern, urlsplit(path).path):
            return name, {}
    form = parse_qs(body.decode("utf-8", "replace"))
    return form.get("Action", ["?"])[0], form


def error_answer(operation: str, fault: Fault, *, is_json: bool) -> tuple[str, bytes]:
    if operation in EBS:
        return "application/json", json.dumps({"Message": "injected"}).encode()
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

        def log_message(self, *_):
            """Say nothing."""

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation, form = operation_of(self.command, self.path, self.headers, body)
            fault = proxy.fault_for(operation)
            if fault is not None:
                self.show(fault, operation, body)
            elif operation in proxy.answers:
                self.unless_denied(body, proxy.answers[operation].encode())
            elif operation == "GetConsoleOutput" and proxy.console is not None:
                instance_id = form["InstanceId"][0]
                self.unless_denied(body, console_answer(instance_id, proxy.console(instance_id)))
            else:
                self.answer(*self.forward(body))

        def unless_denied(self, body, text):
            """Answer for the endpoint, except where it enforces permissions and refuses."""
            status, headers, answer = self.forward(body) if proxy.asks_first else (200, {}, b"")
            if status == 403:
                self.answer(status, headers, answer)
            else:
                self.answer(200, {"Content-Type": "text/xml"}, text)

        def show(self, fault, operation, body):
            if fault.lost:
                self.forward(body)
            if fault.then is not None:
                fault.then()
            if fault.code is None:
                self.close_connection = True
                self.connection.close()
                return
            kind, text = error_answer(operation, fault, is_json="X-Amz-Target" in self.headers)
            self.answer(fault.status, {"Content-Type": kind, "x-amzn-ErrorType": fault.code}, text)

        def forward(self, body):
            connection = http.client.HTTPConnection(proxy.endpoint.hostname, proxy.endpoint.port, timeout=60)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
                headers["Content-Length"] = str(len(body))
                connection.request(self.command, self.path, body=body, headers=headers)
                response = connection.getresponse()
                passed = {k: v for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP}
                if self.command == "HEAD":  # it says how long the answer to GET would be
                    passed["Content-Length"] = response.headers["Content-Length"]
                return response.status, passed, response.read()
            finally:
                connection.close()

        def answer(self, status, headers, body):
            try:
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed: that is what some tests are about

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server looks for

    return Handler
