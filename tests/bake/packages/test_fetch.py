import hashlib
import os
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingot.bake.packages.cache import check_packages, package_file
from ingot.bake.packages.fetch import fetch_packages
from ingot.errors import BakeError
from ingot.spec import Addresses
from tests.baked import ROOT
from tests.specs import package

BODY = b"a package" * 1000


def entry(body=BODY, name="hello", path="pool/h/hello_1~2_amd64.deb"):
    digest = hashlib.sha256(body).hexdigest()
    return package(name, version="1~2", sha256=digest, size=len(body), path=path)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, answers, asked, *arguments):
        self.answers, self.asked = answers, asked
        super().__init__(*arguments)

    def do_GET(self):
        self.asked.append(self.path)
        answers = self.answers.get(self.path, [(404, b"")])
        status, body, *more = answers.pop(0) if len(answers) > 1 else answers[0]
        announced = more[0] if more else len(body)
        pause = more[1] if len(more) > 1 else 0.0
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if body.startswith(b"<") else "application/x-debian")
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        if not pause:
            self.wfile.write(body)
            return
        with suppress(OSError):  # nobody wants the rest
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror():
    """A mirror on loopback: `answers` maps paths to what it gives in turn: status, body,
    announced length, seconds between two bytes.
    """
    answers, asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, answers, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url, server.answers, server.asked = f"http://127.0.0.1:{server.server_port}/debian", answers, asked
    yield server
    server.shutdown()
    server.server_close()


NOBODY = "http://127.0.0.1:1/debian"
PATH = "/debian/pool/h/hello_1~2_amd64.deb"


def fetch(mirror, directory, *entries, messages=None):
    return fetch_packages(
        entries,
        directory,
        {"debian": Addresses((mirror.url,))},
        (messages if messages is not None else []).append,
    )


def test_a_package_is_fetched_once(mirror, tmp_path):
    mirror.answers[PATH] = [(200, BODY)]
    wanted = entry()
    assert fetch(mirror, tmp_path, wanted) == [package_file(tmp_path, wanted.sha256)]
    fetch(mirror, tmp_path, wanted)
    assert mirror.asked == [PATH]
    assert package_file(tmp_path, wanted.sha256).read_bytes() == BODY


def test_a_damaged_package_in_the_store_is_fetched_again(mirror, tmp_path):
    mirror.answers[PATH] = [(200, BODY)]
    file = package_file(tmp_path, entry().sha256)
    file.parent.mkdir()
    file.write_bytes(BODY[:-1] + b"!")
    messages = []
    fetch(mirror, tmp_path, entry(), messages=messages)
    assert file.read_bytes() == BODY
    assert "hello 1~2 is damaged" in messages[0]


def test_a_mirror_that_stumbles_is_asked_again(mirror, tmp_path):
    mirror.answers[PATH] = [(503, b""), (200, BODY)]
    fetch(mirror, tmp_path, entry())
    assert len(mirror.asked) == 2


def test_the_next_mirror_is_tried(mirror, tmp_path):
    mirror.answers[PATH] = [(200, BODY)]
    fetch_packages([entry()], tmp_path, {"debian": Addresses((mirror.url + "-gone", mirror.url))}, print)
    assert package_file(tmp_path, entry().sha256).exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, b""), "HTTP status 404"),
        ((200, b"garbage"), "not the locked package"),
        ((200, BODY + b"x"), "not the locked"),
    ],
)
def test_what_cannot_be_had_is_named_and_nothing_stays(mirror, tmp_path, answer, reason):
    mirror.answers[PATH] = [answer]
    with pytest.raises(BakeError, match=f"(?s)package hello 1~2 cannot be fetched.*{reason}"):
        fetch(mirror, tmp_path, entry())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_mirror_that_does_not_listen_is_named(mirror, tmp_path):
    mirror.shutdown()
    mirror.server_close()
    with pytest.raises(BakeError, match=r"(?s)hello 1~2 cannot be fetched.*refused.*3 tries"):
        fetch(mirror, tmp_path, entry())


def test_the_hint_is_about_versions_only_where_a_version_is_gone(mirror, tmp_path):
    """A mirror that is not there at all has no old versions either, and no lock helps."""
    hints = {}
    for name, answer in {"gone": (410, b""), "forbidden": (403, b""), "other": (200, b"garbage")}.items():
        mirror.answers[PATH] = [answer]
        with pytest.raises(BakeError) as caught:
            fetch(mirror, tmp_path, entry())
        hints[name] = caught.value.hint
    mirror.answers.clear()
    with pytest.raises(BakeError) as both:
        fetch_packages([entry()], tmp_path, {"debian": Addresses((NOBODY, mirror.url))}, print)
    with pytest.raises(BakeError) as silent:
        fetch_packages([entry()], tmp_path, {"debian": Addresses((NOBODY,))}, print)
    assert hints["gone"] == both.value.hint
    assert "a mirror keeps only current versions: `ingot lock NAME`" in hints["gone"]
    assert "ingot lock" not in hints["forbidden"] + hints["other"] + silent.value.hint
    assert silent.value.hint.startswith("the mirror is not reached from here: check the network")
    assert "INGOT_MIRROR names another mirror" in silent.value.hint


def test_an_answer_that_breaks_off_is_asked_for_again(mirror, tmp_path):
    mirror.answers[PATH] = [(200, BODY[:-1], len(BODY)), (200, BODY)]
    fetch(mirror, tmp_path, entry())
    assert len(mirror.asked) == 2


def test_an_answer_that_always_breaks_off_is_named(mirror, tmp_path):
    mirror.answers[PATH] = [(200, BODY[:100], len(BODY))]
    with pytest.raises(
        BakeError, match=rf"hello 1~2 cannot be fetched\n.*ended after 100 of {len(BODY)} bytes \(3 tries\)"
    ):
        fetch(mirror, tmp_path, entry())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_came_instead_is_said(mirror, tmp_path):
    mirror.answers[PATH] = [(200, b"<html>log in first</html>")]
    with pytest.raises(BakeError, match=r"not the locked package \(.*\): 25 bytes of text/html"):
        fetch(mirror, tmp_path, entry())


def test_a_mirror_that_trickles_is_given_up(mirror, tmp_path, monkeypatch):
    """A byte now and then: it never falls silent, and would never end."""
    monkeypatch.setattr("ingot.bake.packages.receiving.PATIENCE", 0.3)
    mirror.answers[PATH] = [(200, BODY, len(BODY), 0.05)]
    with pytest.raises(BakeError, match=r"too slow: \d+ of 9000 bytes in \d+ s \(3 tries\)"):
        fetch(mirror, tmp_path, entry())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_one_package_that_cannot_be_had_ends_the_wait_for_the_others(mirror, tmp_path):
    """The others come so slowly that they would take minutes."""
    slow = [entry(f"{number}".encode() * 9000, f"slow{number}", f"pool/{number}.deb") for number in range(3)]
    for number in range(3):
        mirror.answers[f"/debian/pool/{number}.deb"] = [(200, f"{number}".encode() * 9000, 9000, 0.05)]
    begun = time.monotonic()
    with pytest.raises(BakeError, match="hello 1~2 cannot be fetched"):
        fetch(mirror, tmp_path, *slow, entry())
    assert time.monotonic() - begun < 60
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_is_full_says_so(mirror, tmp_path):
    """The file system takes less than the package has: the limit is the process's own
    here, so that no other file suffers.
    """
    code = f"""
import resource, signal
from pathlib import Path
from ingot.bake.packages.fetch import fetch_packages
from ingot.spec import Addresses, PackageSpec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
fetch_packages([{entry()!r}], Path({str(tmp_path)!r}), {{"debian": Addresses(({mirror.url!r},))}}, print)
"""
    mirror.answers[PATH] = [(200, BODY)]
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_archive_without_a_mirror_is_named(tmp_path):
    with pytest.raises(BakeError, match="no mirror is known for the archive debian"):
        fetch_packages([entry()], tmp_path, {}, print)


def test_checking_names_the_package_that_is_missing(tmp_path):
    with pytest.raises(BakeError, match="package hello 1~2 is missing"):
        check_packages([entry()], tmp_path, print)


class BreakingServer(ThreadingHTTPServer):
    """Speaks TLS; the first connection breaks in the middle of the body, as when
    something on the way changes it.
    """

    def __init__(self, certificate, key):
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.count = 0

    def finish_request(self, request, client_address):
        self.count += 1
        tls = self.context.wrap_socket(request, server_side=True)
        tls.recv(4096)
        tls.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        if self.count > 1:
            tls.sendall(BODY)
            tls.unwrap()
            return
        tls.sendall(BODY[:100])
        os.write(tls.fileno(), b"no record of TLS" * 10)
        tls.detach()


def test_a_broken_record_of_tls_is_tried_again(tmp_path, monkeypatch):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=mirror", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate, *subject],
        capture_output=True, check=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = BreakingServer(certificate, key)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"https://127.0.0.1:{server.server_port}/debian"
    try:
        [file] = fetch(server, tmp_path / "packages", entry())
    finally:
        server.shutdown()
        server.server_close()
    assert file.read_bytes() == BODY
    assert server.count == 2
