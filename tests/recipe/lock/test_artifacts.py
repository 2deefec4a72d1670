"""Artifacts of recipes: the keys, what `ingot lock` pins, what moves, and when a lock is stale."""

import hashlib
import json
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from ingot.errors import IngotError, InputError
from ingot.pipeline.lock import lock
from ingot.progress import silent
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_lock
from ingot.store import Store
from tests.recipe.archive import stanza

FILE = "image_recipes/web/recipe.yaml"
URL = "https://example.com/tool.tar.gz"


def write(web, entry):
    web.replace("steps:\n", f"artifacts:\n  - {{{entry}}}\nsteps:\n")


WRONG = [
    ("url: ftp://example.com/x, target: /opt/x", ":11:11: invalid value 'ftp://example.com/x'", "https://"),
    (
        "url: 'https://u:hunter2@example.com/x', target: /x",
        ":11:11: an address with a user",
        "INGOT_CREDENTIALS",
    ),
    ("url: s3://bucket, target: /opt/x", ":11:11: invalid value 's3://bucket'", "s3://BUCKET/KEY"),
    (f"url: '{URL}'", ":11:5: neither target nor install", "install: true"),
    (f"url: '{URL}', install: true", ":11:5: install of a file that is no package", ".deb"),
    ("url: https://a.b/x.deb, install: true, target: /x", ":11:5: install with target", "install alone"),
    (f"url: '{URL}', target: opt/x", ":11:54: 'opt/x', a relative path", "did you mean /opt/x?"),
    (f"url: '{URL}', target: /run/x", ":11:54: invalid value '/run/x'", "recreated at every boot"),
    (f"url: '{URL}', target: /x, strip: 1", ":11:5: strip without unpack", "unpack: tar"),
    (f"url: '{URL}', target: /x, unpack: tar, mode: '0644'", ":11:5: mode with unpack", "of their archive"),
    (f"url: '{URL}', target: /x, unpack: rar", "invalid value 'rar'", "'tar' or 'zip'"),
    (f"url: '{URL}', target: /x, sha256: abc", "invalid value 'abc'", "64 hex digits"),
    (f"url: '{URL}', target: /x, owner: apk", "the user 'apk', which is not declared", "did you mean app?"),
    (f"url: '{URL}', target: /x}}\n  - {{url: '{URL}', target: /y", "url 'https://", "that is not used yet"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "found", "expected"), WRONG)
def test_what_is_wrong_is_named_with_its_place(web, entry, found, expected):
    write(web, entry)
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert f"{FILE}" in str(caught.value)
    assert found in str(caught.value)
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_install_on_a_base_ami_is_refused(web):
    write(web, "url: https://a.b/x.deb, install: true")
    web.replace("{debian: bookworm}", "{ami: {id: ami-0123456789abcdef0}}")
    with pytest.raises(InputError, match="install on a base AMI"):
        load_recipe(web.file)


def locked(web, **artifact):
    """Write a lock that has one artifact."""
    data = json.loads(web.lock.read_text())
    entry = {"url": URL, "sha256": "ab" * 32, "size": 3, **artifact}
    web.write_lock({**data, "artifacts": [entry]})


def test_it_is_part_of_the_spec_and_of_the_digest(web):
    before = recipe_digest(load_recipe(web.file))
    write(web, f"url: '{URL}', target: /opt/x, unpack: tar, strip: 1, owner: app")
    locked(web)
    recipe = load_recipe(web.file)
    artifact = compile_spec(recipe).artifacts[0]
    assert (artifact.sha256, artifact.size, artifact.target, artifact.strip) == ("ab" * 32, 3, "/opt/x", 1)
    first = recipe_digest(recipe)
    locked(web, sha256="cd" * 32)
    assert len({before, first, recipe_digest(load_recipe(web.file))}) == 3


@pytest.mark.parametrize(
    ("entry", "locked_artifact", "message"),
    [
        (f"url: '{URL}', target: /x", None, f"{FILE}:11:11: the lock lacks the artifact {URL}"),
        (
            f"url: '{URL}', target: /x, sha256: '{'cd' * 32}'",
            {},
            f"the recipe says sha256 {'cd' * 32}, and the lock {'ab' * 32}",
        ),
        (
            "url: https://example.com/other, target: /x",
            {},
            f"the lock has the artifact {URL}, and the recipe does not",
        ),
    ],
)
def test_a_lock_that_does_not_fit_is_stale(web, entry, locked_artifact, message):
    write(web, entry)
    if locked_artifact is not None:
        locked(web, **locked_artifact)
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(web.file))
    assert message in str(caught.value)
    assert "run: ingot lock web" in str(caught.value)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web server of a directory; the store is one of the test's own."""
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    directory = tmp_path / "site"
    directory.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory)))
    Thread(target=server.serve_forever, daemon=True).start()
    server.directory, server.url = directory, f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


needs_apt = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("gpg", "apt-get")),
    reason="signing a test archive needs gpg, reading it apt",
)


@needs_apt
def test_a_lock_pins_what_is_there_and_keeps_it_until_all_may_move(web, archive, site):
    archive([stanza("apache2"), stanza("curl")])
    pinned = hashlib.sha256(b"fixed").hexdigest()
    (site.directory / "free").write_bytes(b"one")
    (site.directory / "fixed").write_bytes(b"fixed")
    write(web, f"url: '{site.url}/free', target: /x")
    write(web, f"url: '{site.url}/fixed', target: /y, sha256: '{pinned}'")
    web.replace("artifacts:\n  - {url: '" + site.url + "/free', target: /x}\n", "")
    web.replace("artifacts:\n", f"artifacts:\n  - {{url: '{site.url}/free', target: /x}}\n")
    recipe = load_recipe(web.file)
    first = lock(recipe, silent)
    assert [artifact.size for artifact in first.new.artifacts] == [3, 5]
    assert next(line for line in first.moved if "free" in line).startswith(f"+ {site.url}/free ")
    first.write()
    (site.directory / "free").write_bytes(b"other")
    (site.directory / "fixed").write_bytes(b"moved")
    assert not lock(recipe, silent).changes
    assert lock(recipe, silent, upgrade=True, packages=["curl"]).new.artifacts == first.new.artifacts
    second = lock(recipe, silent, upgrade=True)
    assert [line.split()[0] for line in second.moved] == [f"{site.url}/free"]
    assert [artifact.size for artifact in second.new.artifacts] == [5, 5]
    assert second.new.artifacts[1].sha256 == pinned


@needs_apt
def test_an_artifact_that_is_gone_or_another_is_named_with_its_place(web, archive, site):
    archive([stanza("apache2")])
    write(web, f"url: '{site.url}/gone', target: /x")
    with pytest.raises(
        IngotError, match=r"recipe.yaml:11:11: the artifact cannot be fetched from .*: HTTP status 404"
    ):
        lock(load_recipe(web.file), silent)
    (site.directory / "gone").write_bytes(b"other")
    web.replace("target: /x", f"target: /x, sha256: '{'ab' * 32}'")
    with pytest.raises(IngotError, match=f"its content has changed: SHA-256 .*, expected {'ab' * 32}"):
        lock(load_recipe(web.file), silent)
    assert not web.lock.exists()


def package(site, **fields):
    tree = site.directory / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    known = {"Package": "own", "Version": "1.0", "Architecture": "all", "Maintainer": "T <t@example.com>",
             "Description": "x", **fields}  # fmt: skip
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in known.items()))
    command = ["dpkg-deb", "--root-owner-group", "--build", tree, site.directory / "own.deb"]
    subprocess.run(command, check=True, capture_output=True)


@needs_apt
def test_a_package_is_locked_with_all_that_it_needs(web, archive, site):
    archive([stanza("apache2"), stanza("libowned", Depends="libdeep"), stanza("libdeep")])
    package(site, Depends="libowned")
    write(web, f"url: '{site.url}/own.deb', install: true")
    recipe = load_recipe(web.file)
    locking = lock(recipe, silent)
    by_name = {entry.name: entry for entry in locking.new.packages}
    assert {"own", "libowned", "libdeep"} <= set(by_name)
    assert (by_name["own"].archive, by_name["own"].version) == ("artifact", "1.0")
    assert by_name["own"].sha256 == locking.new.artifacts[0].sha256
    assert "libdeep" not in locking.new.requested.packages
    locking.write()
    spec = compile_spec(recipe)
    file = Store().fetch_downloads(spec, silent)[by_name["own"].sha256]
    assert file.suffix == ".deb"
    assert not lock(recipe, silent).changes


@needs_apt
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda site: (site.directory / "own.deb").write_bytes(b"no package"), "no Debian package"),
        (
            lambda site: package(site, Architecture="armhf"),
            "a package for armhf, expected",
        ),
    ],
)
def test_a_file_that_cannot_be_installed_is_named_with_its_place(web, archive, site, make, message):
    archive([stanza("apache2")])
    make(site)
    write(web, f"url: '{site.url}/own.deb', install: true")
    with pytest.raises(InputError, match=message) as caught:
        lock(load_recipe(web.file), silent)
    assert f"{FILE}:11:11: " in str(caught.value)


@needs_apt
def test_what_a_package_needs_and_nobody_has_is_apts_to_say(web, archive, site):
    archive([stanza("apache2")])
    package(site, Depends="nowhere")
    write(web, f"url: '{site.url}/own.deb', install: true")
    with pytest.raises(IngotError, match="own : Depends: nowhere"):
        lock(load_recipe(web.file), silent)
