"""Before a builder is launched, everything that its lock names is in its bucket, here, or on a mirror that it
reaches.
"""

import functools
import hashlib
import http.server
import os
import urllib.request

import pytest

from ingot.aws.builder.supply import Supply, work_of
from ingot.errors import BakeError, IngotError
from ingot.recipe.lock.mirrors import addresses
from ingot.spec import Addresses, AptSourceSpec, ArtifactSpec, DistributionSpec
from ingot.store import Store
from tests.specs import bake_spec, package

# Writes the sources.list that mmdebstrap would, and runs the setup hook: mmdebstrap(1), --setup-hook.
MMDEBSTRAP = """\
#!/bin/sh
for argument; do case $argument in --setup-hook=*) hook=${{argument#--setup-hook=}};; esac; done
mkdir -p "$argument/etc/apt"
cat > "$argument/etc/apt/sources.list" <<end
{sources}end
exec sh -c "$hook" hook "$argument"
"""


@pytest.fixture(autouse=True)
def own_proxies():
    """urllib makes its opener once, with the proxies of then: no other test gets that of one of these."""
    yield
    urllib.request.install_opener(None)


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, asked, *arguments, **options):
        self.asked = asked
        super().__init__(*arguments, **options)

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(serve, tmp_path, monkeypatch):
    """This machine's own mirror. Another machine sees it as mirror.example, and with it what it has."""
    top, asked = tmp_path / "mirror", []
    (top / "debian").mkdir(parents=True)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, asked, directory=top)
    )
    serve(server)
    server.url, server.top, server.asked = f"http://127.0.0.1:{server.server_port}", top, asked
    monkeypatch.setenv("INGOT_MIRROR", f"{server.url}/debian")
    return server


def add(mirror, name, *, served=True):
    body = f"package {name}".encode()
    if served:
        (mirror.top / "debian" / f"{name}.deb").write_bytes(body)
    digest = hashlib.sha256(body).hexdigest()
    return package(name, path=f"{name}.deb", sha256=digest, size=len(body))


def spec_of(*packages, **more):
    return bake_spec(distribution=DistributionSpec("debian", "bookworm"), packages=packages, **more)


def work(spec, tmp_path, kept=None, *, by_mirror=False):
    archives = addresses(spec, elsewhere=True) if by_mirror else {}
    supply = Supply(Store(tmp_path / "store"), kept or {}, archives)
    return work_of(spec, tmp_path, supply, lambda text: None)


def test_what_the_bucket_keeps_is_not_fetched(mirror, tmp_path):
    """The mirror dropped it since, and it need not be here either."""
    old, new = add(mirror, "old", served=False), add(mirror, "new")
    found = work(spec_of(old, new), tmp_path, kept={old.sha256: old.size})
    assert list(found.packages) == [new.sha256]
    assert mirror.asked == ["/debian/new.deb"]
    assert found.archives == {}


def test_an_artifact_that_the_bucket_keeps_is_not_fetched(mirror, tmp_path):
    """Its address is gone."""
    artifact = ArtifactSpec(f"{mirror.url}/gone.tar", "ab" * 32, 7, target="/opt/x")
    spec = spec_of(add(mirror, "new"), artifacts=(artifact,))
    assert "ab" * 32 not in work(spec, tmp_path, kept={"ab" * 32: 7}).packages
    with pytest.raises(IngotError, match=r"gone.tar cannot be fetched"):
        work(spec, tmp_path)


def test_another_size_in_the_bucket_does_not_count(mirror, tmp_path):
    one = add(mirror, "one")
    assert list(work(spec_of(one), tmp_path, kept={one.sha256: one.size - 1}).packages) == [one.sha256]


def test_what_cannot_be_had_is_said_at_once(mirror, tmp_path):
    with pytest.raises(BakeError, match="package old 1 cannot be fetched"):
        work(spec_of(add(mirror, "new"), add(mirror, "old", served=False)), tmp_path)


def test_a_mirror_that_the_builder_reaches_keeps_what_it_has(mirror, tmp_path, monkeypatch):
    """What the mirror dropped goes by the bucket, from this machine's store."""
    one, other = add(mirror, "one"), add(mirror, "other")
    work(spec_of(one, other), tmp_path)
    (mirror.top / "debian" / "other.deb").unlink()
    monkeypatch.setenv("http_proxy", mirror.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    urllib.request.install_opener(None)
    monkeypatch.setenv("INGOT_MIRROR", "http://mirror.example/debian")
    monkeypatch.setattr(Handler, "translate_path", _by_proxy)
    found = work(spec_of(one, other), tmp_path, by_mirror=True)
    assert list(found.packages) == [other.sha256]
    assert found.archives["debian"] == Addresses(("http://mirror.example/debian",))


def _by_proxy(handler, path):
    return f"{handler.directory}/{path.removeprefix('http://mirror.example/')}"


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:1/debian", "http://localhost:1/debian", "file:///srv/debian"]
)
def test_a_builder_is_told_of_no_address_of_this_machine(mirror, tmp_path, monkeypatch, where):
    spec = spec_of(
        add(mirror, "one"), apt_sources=(AptSourceSpec("extra", where.replace("debian", "extra")),)
    )
    work(spec, tmp_path)
    monkeypatch.setenv("INGOT_MIRROR", where)
    found = work(spec, tmp_path, by_mirror=True)
    assert list(found.packages) == [spec.packages[0].sha256]
    assert found.archives["debian"].mirrors == found.archives["extra"].mirrors == ()


def test_a_builder_is_told_of_none_of_this_machines_apt_sources(mirror, tmp_path, monkeypatch):
    """They may lead into a network that it is not in: the public ones do not."""
    spec = spec_of(add(mirror, "one"))
    work(spec, tmp_path)
    monkeypatch.delenv("INGOT_MIRROR")
    public = ["http://public.example/debian", "http://public.example/debian-security"]
    sources = "".join(f"deb {url} bookworm main\n" for url in public)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mmdebstrap"
    program.write_text(MMDEBSTRAP.format(sources=sources))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    urllib.request.install_opener(None)
    found = work(spec, tmp_path, by_mirror=True)
    assert [a.mirrors for a in found.archives.values()] == [(url,) for url in public]
    assert list(found.packages) == [spec.packages[0].sha256]
