"""What `ingot boot` asks from outside, of a server in the place of the machine."""

import shlex
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingot.errors import VerificationError
from ingot.machines.qemu import MachineSpec
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


def ended(console, accelerator="tcg"):
    """A machine that ended with this on its console."""
    return SimpleNamespace(
        wait=lambda _timeout: True, console=lambda: (console.encode(), None), accelerator=accelerator
    )


def failing(machine):
    """Run the tests of an image against a machine that has ended; return the error."""
    watch = SimpleNamespace(tests=[])
    watch.ended = lambda *what: watch.tests.append(SimpleNamespace(name=what[0], ok=what[1] is None))
    image = SimpleNamespace(manifest={"tests": [{"name": "x", "command": "true"}]})
    with pytest.raises(VerificationError) as caught:
        boot.run_tests(boot.Boot(image, machine, watch), lambda _: None, lambda _: None)
    return caught.value


def test_a_panic_of_an_emulated_machine_is_explained():
    panic = "Kernel panic - not syncing: Attempted to kill init!"
    assert "QEMU before 8.1" in failing(ended(panic)).hint
    assert failing(ended(panic, "kvm")).hint is None
    assert failing(ended("login:")).hint is None


@pytest.mark.parametrize(
    ("architecture", "program", "firmware"),
    [("x86_64", "qemu-system-x86_64", "/OVMF/"), ("arm64", "qemu-system-aarch64", "/AAVMF/")],
)
def test_a_kept_disk_is_named_with_the_command_that_boots_it(architecture, program, firmware):
    spec = MachineSpec(
        "i-1",
        768,
        2,
        "172.31.0.10",
        "02:00:00:00:00:01",
        Path("/a/disk.raw"),
        1,
        "vol-1",
        architecture=architecture,
    )
    text = boot.kept(SimpleNamespace(spec=spec, directory=Path("/b, c/i-1")))
    assert "kept: /b, c/i-1/disk.qcow2, an overlay of /a/disk.raw" in text
    words = shlex.split(text.splitlines()[-1])
    assert words[0] == program
    assert words[words.index("-m") + 1] == "768"
    assert any(firmware in word for word in words)
    assert "if=none,id=root,format=qcow2,file=/b,, c/i-1/disk.qcow2" in words
