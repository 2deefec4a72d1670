"""Fetching artifacts: what comes, what servers do instead, and what of it may be seen."""

import base64
import hashlib
import os
import threading
import tracemalloc
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ingot.errors import IngotError, InputError
from ingot.progress import silent
from ingot.recipe.lock.artifacts import MAX_ARTIFACT
from ingot.retry import Backoff, Clock, driven_by
from ingot.store.downloads import web
from ingot.store.downloads.web import Wanted, fetch

BODY = b"an artifact" * 1000
DIGEST = hashlib.sha256(BODY).hexdigest()
# Of `head -c 5G /dev/zero`: another program's word for what must be in the store.
FIVE_GIB_OF_ZEROS = "7f06c62352aebd8125b2a1841e2b9e1ffcbed602f381c3dcb3200200e383d1d5"


class Handler(BaseHTTPRequestHandler):
    def __init__(self, answers, asked, *arguments):
        self.answers, self.asked = answers, asked
        super().__init__(*arguments)

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Authorization")))
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        size = body.stat().st_size if isinstance(body, Path) else len(body)
        for name, value in {"Content-Length": str(size), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(body, Path):
            with body.open("rb") as file:
                self.connection.sendfile(file)
        else:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start servers: `answers` maps paths to status, headers, body: bytes, or a file."""
    servers = []

    def start():
        answers, asked = {}, []
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, answers, asked))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.answers, server.asked = answers, asked
        server.url = f"http://127.0.0.1:{server.server_port}"
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def get(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "MIRROR", Backoff(first=0.01, longest=0.01, attempts=2))

    def got(url, limit=1 << 20, sha256=None, open_s3=None, progress=silent):
        return fetch(Wanted("the artifact", url, limit, sha256), tmp_path / "packages", open_s3, progress)

    return got


def test_it_is_in_the_store_under_its_digest(serve, get, tmp_path):
    server = serve()
    server.answers["/a"] = (200, {}, BODY)
    found = get(f"{server.url}/a")
    assert (found.sha256, found.size) == (DIGEST, len(BODY))
    assert found.file == tmp_path / "packages" / DIGEST[:2] / DIGEST
    assert found.file.read_bytes() == BODY


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b""), "HTTP status 404"),
        ((500, {}, b""), "HTTP status 500"),
        ((200, {"Content-Length": "99"}, b"short"), "the answer ended after 5 of 99 bytes|IncompleteRead"),
        ((200, {}, b"another"), "its content has changed: SHA-256 "),
        ((200, {}, BODY + b"more"), "it has 11004 bytes; the lock says 11000"),
    ],
)
def test_what_is_not_the_artifact_is_named_with_its_address(serve, get, tmp_path, answer, message):
    server = serve()
    server.answers["/a"] = answer
    with pytest.raises(IngotError, match=message) as caught:
        get(f"{server.url}/a", limit=len(BODY), sha256=DIGEST)
    assert f"the artifact cannot be fetched from {server.url}/a: " in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_body_without_an_end_is_cut_at_the_limit(serve, get):
    server = serve()
    server.answers["/a"] = (200, {"Content-Length": "nobody knows"}, BODY)
    with pytest.raises(IngotError, match="it is larger than 100 bytes"):
        get(f"{server.url}/a", limit=100)


@pytest.mark.parametrize(
    ("after", "paused", "said"),
    [
        ("7", [0.0, 7.0], "HTTP status 503 Service Unavailable"),
        ("", [0.0, 0.01], "HTTP status 503 Service Unavailable"),
        ("301", [0.0], "HTTP status 503 Service Unavailable: it asks to wait 301 s"),
    ],
)
def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(serve, get, after, paused, said):
    server = serve()
    server.answers["/a"] = (503, {"Retry-After": after}, b"")
    pauses = []

    class Noting(Clock):
        def pause(self, seconds, stop=None):
            pauses.append(seconds)

    with driven_by(Noting()), pytest.raises(IngotError) as caught:
        get(f"{server.url}/a")
    assert pauses == paused
    assert caught.value.message == f"the artifact cannot be fetched from {server.url}/a: {said}"


def test_nothing_there_is_an_error(get):
    with pytest.raises(IngotError, match="Connection refused"):
        get("http://127.0.0.1:9/a")


def test_a_redirect_to_another_host_is_followed_said_and_gets_no_credentials(serve, get, monkeypatch):
    first, second = serve(), serve()
    other = second.url.replace("127.0.0.1", "localhost")
    first.answers["/a"] = (302, {"Location": f"{other}/b"}, b"")
    second.answers["/b"] = (200, {}, BODY)
    monkeypatch.setenv("INGOT_CREDENTIALS", "127.0.0.1=user:hunter2")
    said = []
    assert get(f"{first.url}/a", progress=said.append).sha256 == DIGEST
    assert said == ["127.0.0.1 redirects to localhost"]
    assert first.asked == [("/a", f"Basic {base64.b64encode(b'user:hunter2').decode()}")]
    assert second.asked == [("/b", None)]


def test_a_circle_of_redirects_and_one_to_a_file_end(serve, get):
    server = serve()
    server.answers["/a"] = (302, {"Location": f"{server.url}/a"}, b"")
    server.answers["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    with pytest.raises(IngotError, match=r"infinite loop|redirect"):
        get(f"{server.url}/a")
    with pytest.raises(IngotError, match=r"redirects to file://|is not allowed"):
        get(f"{server.url}/file")


@pytest.mark.parametrize("status", [401, 403])
def test_a_private_host_says_which_variable_it_wants_and_never_the_password(serve, get, monkeypatch, status):
    server = serve()
    server.answers["/a"] = (status, {}, b"")
    monkeypatch.setenv("INGOT_CREDENTIALS", "127.0.0.1=user:hunter2")
    with pytest.raises(IngotError, match='INGOT_CREDENTIALS="HOST=USER:PASSWORD"') as caught:
        get(f"{server.url}/a")
    assert "hunter2" not in str(caught.value)


def test_credentials_that_cannot_be_read_are_not_shown(serve, get, monkeypatch):
    monkeypatch.setenv("INGOT_CREDENTIALS", "hunter2")
    with pytest.raises(InputError, match="INGOT_CREDENTIALS cannot be read") as caught:
        get(f"{serve().url}/a")
    assert "hunter2" not in str(caught.value)


def test_a_large_artifact_takes_little_memory(serve, get):
    server = serve()
    server.answers["/a"] = (200, {}, bytes(64 << 20))
    tracemalloc.start()
    try:
        found = get(f"{server.url}/a", limit=1 << 30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.size == 64 << 20
    assert peak < 16 << 20


@pytest.mark.slow
def test_an_artifact_of_5_gib_is_streamed_and_a_byte_more_is_refused_unread(serve, get, tmp_path):
    """5 GiB is the most that a lock takes. The file is sparse, what comes of it is not."""
    body, server = tmp_path / "zeros", serve()
    with body.open("xb") as file:
        file.truncate(MAX_ARTIFACT)
    server.answers["/a"] = (200, {}, body)
    tracemalloc.start()
    try:
        found = get(f"{server.url}/a", limit=MAX_ARTIFACT, sha256=FIVE_GIB_OF_ZEROS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.size, found.file.stat().st_size) == (5 << 30, 5 << 30)
    assert peak < 16 << 20
    found.file.unlink()
    os.truncate(body, MAX_ARTIFACT + 1)
    with pytest.raises(IngotError, match="it has 5368709121 bytes; at most 5368709120 are taken"):
        get(f"{server.url}/a", limit=MAX_ARTIFACT)
    assert [path for path in (tmp_path / "packages").rglob("*") if path.is_file()] == []
