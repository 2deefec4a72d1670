"""A package that the mirror dropped comes from the snapshot archive, by the SHA-256 of the lock."""

import hashlib
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingot.bake.packages.cache import package_file
from ingot.bake.packages.fetch import fetch_packages
from ingot.errors import BakeError
from ingot.recipe.lock.mirrors import addresses
from ingot.retry import Clock, driven_by
from ingot.spec import DistributionSpec
from tests.specs import bake_spec, package

INDEXED = 1769860800  # 2026-01-31T12:00:00Z
# The imports of the archive: one before the index, one after it, one without the package.
BEFORE, AFTER, LATER = "20260131T090000Z", "20260131T150000Z", "20260203T090000Z"


class Patient(Clock):
    """A clock on which pauses take no time, and are counted."""

    def __init__(self):
        self.pauses = []

    def wall(self):
        return INDEXED + 10**6

    def pause(self, seconds, stop=None):
        if seconds:
            self.pauses.append(seconds)


class Archive(ThreadingHTTPServer):
    """A mirror at /mirror/ARCHIVE/ and a snapshot archive at /archive/ARCHIVE/TIME/, which answers for any
    time with the latest import before it, by a redirect, as snapshot.debian.org does.

    ``files``: the mirror's and the imports' by path; ``answers``: what is said instead of the first ones.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files, self.answers, self.asked = {}, [], []
        self.imports = (BEFORE, AFTER, LATER)
        self.busy = self.most = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        words = self.path.split("/")
        if words[1] == "archive":
            server.busy += 1
            server.most = max(server.most, server.busy)
            time.sleep(0.01)
            server.busy -= 1
            if server.answers:
                status, headers = server.answers.pop(0)
                return self.answer(status, headers=headers)
            known = max((date for date in server.imports if date <= words[3]), default=None)
            if known is not None and known != words[3]:
                place = "/".join([*words[:3], known, *words[4:]])
                return self.answer(302, headers={"Location": place})
        body = server.files.get(self.path)
        return self.answer(404) if body is None else self.answer(200, body)

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def archive(serve, monkeypatch):
    server = Archive()
    serve(server)
    monkeypatch.setenv("INGOT_MIRROR", f"{server.url}/mirror/debian")
    monkeypatch.setattr(
        "ingot.recipe.lock.mirrors.SNAPSHOTS", {"debian": f"{server.url}/archive/{{archive}}/{{date}}"}
    )
    monkeypatch.delenv("INGOT_SNAPSHOT")
    return server


def locked(number=0, archive="debian"):
    body = f"package {number}".encode()
    digest = hashlib.sha256(body).hexdigest()
    path = f"pool/p/p{number}_1+2_all.deb"
    return body, package(f"p{number}", path=path, sha256=digest, size=len(body), archive=archive)


def spec_of(*packages):
    return bake_spec(distribution=DistributionSpec("debian", "bookworm"), indexed=INDEXED, packages=packages)


def fetch(spec, directory, progress=print):
    return fetch_packages(spec.packages, directory, addresses(spec), progress)


def test_what_a_mirror_drops_between_two_bakes_comes_from_the_archive(archive, tmp_path):
    """The first bake finds both on the mirror; before the second, on another machine, a new version came."""
    one, two = locked(1), locked(2, archive="debian-security")
    for body, entry in (one, two):
        archive.files[f"/mirror/{entry.archive}/pool/p/{entry.name}_1%2B2_all.deb"] = body
    spec = spec_of(one[1], two[1])
    fetch(spec, tmp_path / "first")
    assert not [path for path in archive.asked if path.startswith("/archive")]
    del archive.files["/mirror/debian-security/pool/p/p2_1%2B2_all.deb"]
    archive.files[f"/archive/debian-security/{AFTER}/pool/p/p2_1%2B2_all.deb"] = two[0]
    said = []
    fetch(spec, tmp_path / "second", said.append)
    assert package_file(tmp_path / "second", two[1].sha256).read_bytes() == two[0]
    assert f"p2 1 is gone from the mirror: asking 127.0.0.1:{archive.server_port}" in said
    assert [path for path in archive.asked if path.startswith("/archive")] == [
        "/archive/debian-security/20260201T000000Z/pool/p/p2_1%2B2_all.deb",
        f"/archive/debian-security/{AFTER}/pool/p/p2_1%2B2_all.deb",
    ]


def test_a_package_that_was_gone_at_the_next_import_comes_from_the_one_before(archive, tmp_path):
    body, entry = locked()
    archive.files[f"/archive/debian/{BEFORE}/pool/p/p0_1%2B2_all.deb"] = body
    fetch(spec_of(entry), tmp_path)
    assert package_file(tmp_path, entry.sha256).read_bytes() == body


def test_what_is_not_the_locked_package_is_not_taken(archive, tmp_path):
    body, entry = locked()
    for date in (BEFORE, AFTER):
        archive.files[f"/archive/debian/{date}/pool/p/p0_1%2B2_all.deb"] = body[::-1]
    with pytest.raises(BakeError, match=r"(?s)p0 1 cannot be fetched.*not the locked package"):
        fetch(spec_of(entry), tmp_path)
    assert not list(tmp_path.rglob("*.deb"))


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_archive_asks(archive, tmp_path, status):
    body, entry = locked()
    archive.files[f"/archive/debian/{AFTER}/pool/p/p0_1%2B2_all.deb"] = body
    date = datetime.fromtimestamp(INDEXED + 10**6 + 90, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    archive.answers = [(status, {"Retry-After": "45"}), (status, {}), (status, {"Retry-After": date})]
    with driven_by(clock := Patient()):
        fetch(spec_of(entry), tmp_path)
    assert clock.pauses == [45.0, 4.0, 90.0]
    assert package_file(tmp_path, entry.sha256).is_file()


def test_it_gives_up_when_it_would_wait_too_long(archive, tmp_path):
    archive.answers = [(429, {"Retry-After": "86400"})]
    with driven_by(Patient()), pytest.raises(BakeError, match=r"HTTP status 429.*asks to wait 86400 s"):
        fetch(spec_of(locked()[1]), tmp_path)
    assert sum(path.startswith("/archive") for path in archive.asked) == 1


def test_it_gives_up_on_an_archive_that_never_has_time(archive, tmp_path):
    archive.answers = [(429, {})] * 20
    with driven_by(clock := Patient()), pytest.raises(BakeError, match=r"HTTP status 429.*\(7 tries\)"):
        fetch(spec_of(locked()[1]), tmp_path)
    assert clock.pauses == [2, 4, 8, 16, 32, 60]
    assert sum(path.startswith("/archive") for path in archive.asked) == 7


def test_one_connection_at_a_time_goes_to_the_archive(archive, tmp_path):
    packages = [locked(number) for number in range(12)]
    for body, entry in packages:
        archive.files[f"/archive/debian/{AFTER}/pool/p/{entry.name}_1%2B2_all.deb"] = body
    fetch(spec_of(*(entry for _, entry in packages)), tmp_path)
    assert len(list(tmp_path.rglob("*.deb"))) == 12
    assert archive.most == 1


def test_it_does_not_stand_in_for_a_mirror_that_is_down(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_MIRROR", "http://127.0.0.1:1/debian")
    with driven_by(Patient()), pytest.raises(BakeError, match="cannot be fetched"):
        fetch(spec_of(locked()[1]), tmp_path)
    assert archive.asked == []


def test_it_can_be_switched_off(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_SNAPSHOT", "off")
    with pytest.raises(BakeError, match=r"p0 1 cannot be fetched") as caught:
        fetch(spec_of(locked()[1]), tmp_path)
    assert "INGOT_SNAPSHOT names an archive that keeps them" in str(caught.value)
    assert len(archive.asked) == 1


def test_one_of_your_own_takes_its_place(archive, tmp_path, monkeypatch):
    """It may have one directory for each index: the date itself is among those that are asked for."""
    body, entry = locked()
    archive.imports = ()
    archive.files["/archive/own/debian/20260131T120000Z/pool/p/p0_1%2B2_all.deb"] = body
    monkeypatch.setenv("INGOT_SNAPSHOT", f"{archive.url}/archive/own/{{archive}}/{{date}}/")
    fetch(spec_of(entry), tmp_path)
    assert package_file(tmp_path, entry.sha256).read_bytes() == body
