"""What `ingot boot` asks from outside, of a server in the place of the machine."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingot.pipeline import boot
from tests.served import serving


class App(BaseHTTPRequestHandler):
    """Well at /healthz; starts at /slow; says the wrong words elsewhere."""

    asked = 0

    def do_GET(self):
        if self.path == "/slow":
            App.asked += 1
        status = 503 if self.path == "/slow" and App.asked < 4 else 200
        self.send_response(status)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"well")

    def log_message(self, *_):
        """Say nothing."""


class Machine:
    """A machine that runs, with its port 80 at the server's."""

    def __init__(self, port):
        self._port = port

    def forward(self, _port):
        return self._port

    def wait(self, timeout):
        time.sleep(timeout)
        return False


def test_each_test_is_tried_and_a_wrong_answer_that_stays_counts(monkeypatch):
    monkeypatch.setattr(boot, "STEADY", 1.0)
    monkeypatch.setattr(boot, "SAY_EVERY", 0.5)
    monkeypatch.setattr(boot, "POLL", 0.1)
    said = []
    tests = [
        {"name": "words", "http": {"path": "/", "contains": "nothing such"}},
        {"name": "health", "http": {"path": "/healthz"}},
        {"name": "slow", "http": {"path": "/slow"}},
    ]
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    with serving() as start:
        start(server)
        machine = Machine(server.server_port)
        found = list(boot.answers_outside(tests, machine, time.monotonic() + 300, said.append))
    assert found == [
        ("health", None),
        ("slow", None),
        ("words", "the answer does not contain 'nothing such'"),
    ]
    assert "waits for the test 'words': the answer does not contain 'nothing such'" in said[-1]


def test_silence_is_waited_for_until_the_end(monkeypatch):
    monkeypatch.setattr(boot, "STEADY", 0.1)
    monkeypatch.setattr(boot, "POLL", 0.1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    server.server_close()  # nobody listens there
    begun = time.monotonic()
    [(name, problem)] = boot.answers_outside(
        [{"name": "words", "http": {}}],
        Machine(server.server_port),
        begun + 1,
        lambda _: pytest.fail("too early"),
    )
    assert (name, problem.startswith("no answer: ")) == ("words", True)
    assert time.monotonic() - begun >= 1
