import hashlib
import http.server
import os
import shutil
import threading
from functools import partial

import pytest

from ingot.errors import IngotError
from ingot.locks import locked
from ingot.recipe.load import load_recipe
from ingot.recipe.lock import index_cache
from ingot.recipe.lock.index_cache import IndexCache
from ingot.recipe.lock.resolve import resolve_lock
from tests.recipe.archive import LATER, Signer, stanza

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("gpg", "apt-get")),
    reason="signing a test archive needs gpg, reading it apt",
)


class Recorder(http.server.SimpleHTTPRequestHandler):
    """Serves files, and keeps what was asked for and how it was answered."""

    requests: list[tuple[str, int]]

    def log_message(self, *_: object) -> None:
        pass

    def log_request(self, code="-", size="-"):
        self.requests.append((self.path, int(code)))


@pytest.fixture
def requests(tmp_path, serve, archive, monkeypatch):
    """The requests that the mirror of the recipe's distribution answered. Call ``archive`` before a lock."""
    (tmp_path / "mirror").mkdir()
    handler = type("Handler", (Recorder,), {"requests": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=tmp_path / "mirror")
    )
    serve(server)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("SERVED_MIRROR", f"debian={address}/debian debian-security={address}/debian-security")
    return handler.requests


@pytest.fixture
def lock(web, monkeypatch):
    """Resolves the recipe by HTTP; returns the lock and what was said."""

    def resolve(**options):
        said = []
        monkeypatch.setenv("INGOT_MIRROR", os.environ["SERVED_MIRROR"])
        locked = resolve_lock(load_recipe(web.file), progress=said.append, **options)
        return locked, said

    return resolve


def names(requests):
    return {path.rpartition("/")[2] for path, _ in requests}


def kept(tmp_path, name):
    """The files of this kind in the cache, the largest first: that of the distribution's main suite."""
    files = (tmp_path / "home" / "indexes").glob(f"*/*{name}")
    return sorted(files, key=lambda file: -file.stat().st_size)


def write_later(archive, root, *arguments):
    """Write the archive anew; its files are a minute newer, as HTTP's times have whole seconds."""
    archive(*arguments, date=LATER)
    for file in root.rglob("*"):
        if file.is_file():
            os.utime(file, (file.stat().st_mtime + 60,) * 2)


def test_known_indexes_are_only_asked_whether_they_changed(requests, lock, archive):
    archive([stanza("apache2")])
    first, said = lock()
    assert said[0] == "fetching the indexes of debian bookworm"
    assert "Packages" in names(requests)
    requests.clear()
    again, said = lock()
    assert again == first
    assert said[0] == "asking for changes in the indexes of debian bookworm"
    assert names(requests) == {"InRelease"}
    assert {status for _, status in requests} == {304}


def test_a_newer_index_is_fetched(requests, lock, archive):
    root = archive([stanza("apache2")])
    assert lock()[0].versions()["apache2"] == "1.0"
    write_later(archive, root, [stanza("apache2", "1.1")])
    requests.clear()
    assert lock()[0].versions()["apache2"] == "1.1"
    assert "Packages" in names(requests)
    requests.clear()
    assert lock()[0].versions()["apache2"] == "1.1"
    assert names(requests) == {"InRelease"}


def test_one_command_asks_once(requests, lock, archive):
    archive([stanza("apache2")])
    indexes = IndexCache()
    first, _ = lock(indexes=indexes)
    requests.clear()
    assert lock(indexes=indexes)[0] == first
    assert requests == []


@pytest.mark.parametrize("same_command", [False, True])
def test_a_list_that_was_changed_on_this_machine_is_noticed(requests, lock, archive, tmp_path, same_command):
    archive([stanza("apache2")])
    indexes = IndexCache()
    first, _ = lock(indexes=indexes)
    digest = hashlib.sha256(b"apache2 1.0").hexdigest()
    forge(kept(tmp_path, "Packages")[0], digest, "0" * 64)
    locked, said = lock(indexes=indexes if same_command else IndexCache())
    assert locked == first
    assert said[1] == "the cached indexes do not match their signatures: fetching them again"
    assert "0" * 64 not in kept(tmp_path, "Packages")[0].read_text()
    assert len(lock()[1]) == 2


def forge(file, old, new):
    """Change a file, but neither its size nor its time."""
    before = file.stat()
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def test_a_list_and_its_signed_file_that_were_changed_are_noticed(requests, lock, archive, tmp_path):
    archive([stanza("apache2")])
    first, _ = lock()
    index, release = kept(tmp_path, "Packages")[0], None
    before = hashlib.sha256(index.read_bytes()).hexdigest()
    forge(index, hashlib.sha256(b"apache2 1.0").hexdigest(), "0" * 64)
    [release] = [file for file in index.parent.iterdir() if file.name.endswith("InRelease")]
    forge(release, before, hashlib.sha256(index.read_bytes()).hexdigest())
    locked, said = lock()
    assert locked == first
    assert said[1] == "the cached indexes do not match their signatures: fetching them again"


def test_what_is_kept_is_of_one_key(requests, lock, archive, monkeypatch):
    archive([stanza("apache2")])
    lock()
    other = Signer()
    try:
        monkeypatch.setenv("INGOT_KEYRING", str(other.keyring))
        with pytest.raises(IngotError, match="cannot be fetched"):
            lock()
    finally:
        other.close()


def test_known_indexes_do_not_hide_that_the_mirror_is_gone(requests, lock, archive):
    root = archive([stanza("apache2")])
    lock()
    shutil.rmtree(root)
    with pytest.raises(IngotError, match="cannot be fetched"):
        lock()


def test_an_entry_that_lost_a_file_is_completed(requests, lock, archive, tmp_path):
    archive([stanza("apache2")])
    first, _ = lock()
    kept(tmp_path, "Packages")[0].unlink()
    assert lock()[0] == first
    kept(tmp_path, "InRelease")[0].unlink()
    assert lock()[0] == first


def test_another_lock_of_the_same_indexes_is_waited_for(requests, lock, archive, web, tmp_path):
    archive([stanza("apache2")])
    first, _ = lock()
    held = next((tmp_path / "home" / "indexes").glob("*.lock"))
    waits, free, found = threading.Event(), threading.Event(), []

    def hear(message):
        if message.startswith("waiting"):
            waits.set()
            found.append(free.is_set())

    def resolve():
        found.append(resolve_lock(load_recipe(web.file), progress=hear))

    with locked(held, waiting=lambda: pytest.fail("the lock is free")):
        thread = threading.Thread(target=resolve)
        thread.start()
        assert waits.wait(60)
        free.set()
    thread.join()
    assert found == [False, first]


def test_what_was_used_least_goes_when_there_is_too_much(requests, lock, archive, tmp_path):
    archive([stanza("apache2")])
    indexes = tmp_path / "home" / "indexes"
    for number in range(index_cache.MOST_ENTRIES + 2):
        entry = indexes / f"{number:064}"
        entry.mkdir(parents=True)
        (entry / "Packages").write_text("x")
        os.utime(entry, (number, number))
    (indexes / f".{5:064}.x.part").mkdir()
    with locked(indexes / f"{0:064}.lock", waiting=lambda: pytest.fail("the lock is free")):
        lock()
    left = sorted(path.name for path in indexes.iterdir() if path.is_dir())
    # The lock's own three, the newest of the others, and the one that is in use.
    assert len(left) == index_cache.MOST_ENTRIES + 1
    assert left[:2] == [f"{0:064}", f"{5:064}"]
    assert len(kept(tmp_path, "InRelease")) == 3


def test_without_a_place_for_them_nothing_is_kept(requests, lock, archive, tmp_path):
    archive([stanza("apache2")])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "indexes").write_text("")
    first, said = lock()
    assert said[0].startswith("indexes are not kept: ")
    assert first.versions()["apache2"] == "1.0"
