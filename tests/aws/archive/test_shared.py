"""A store that machines share: what one has fetched or baked, another takes from there, verified."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shutil
from dataclasses import replace

import pytest

from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.archive.shared import BucketStore
from ingot.bake.packages.cache import package_file
from ingot.errors import BakeError, InputError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.spec import ArtifactSpec, DistributionSpec
from ingot.store import Store
from tests import ROOT
from tests.aws.archive.test_images import NAMES, make_bucket, quiet
from tests.aws.support import make_image
from tests.diff.manifests import manifest as whole_manifest
from tests.specs import bake_spec, package

WEB = ROOT / "image_recipes" / "web"


@pytest.fixture
def bucket(direct):
    return make_bucket(direct, "shared")


@pytest.fixture
def shared(clients, bucket):
    """Gives the shared store, as another process opens it."""
    return lambda: BucketStore(ArchiveLocation("shared", "ingot"), None, lambda: clients)


@pytest.fixture
def machine(shared, tmp_path):
    """Gives the store of a machine by its name; all share one bucket."""
    return lambda name: Store(tmp_path / name, shared=shared())


@pytest.fixture
def mirror(serve, tmp_path, monkeypatch):
    top = tmp_path / "mirror"
    (top / "debian").mkdir(parents=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=top)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serve(server)
    monkeypatch.setenv("INGOT_MIRROR", f"http://127.0.0.1:{server.server_port}/debian")
    server.url, server.top = f"http://127.0.0.1:{server.server_port}", top
    return server


@pytest.fixture
def spec(mirror):
    """A spec with a package of the mirror and an artifact beside it."""
    (mirror.top / "debian" / "p.deb").write_bytes(b"package")
    (mirror.top / "tool").write_bytes(b"artifact")
    digests = [hashlib.sha256(body).hexdigest() for body in (b"package", b"artifact")]
    return bake_spec(
        distribution=DistributionSpec("debian", "bookworm"),
        packages=(package("p", path="p.deb", sha256=digests[0], size=7),),
        artifacts=(ArtifactSpec(f"{mirror.url}/tool", digests[1], 8, target="/opt/tool"),),
    )


def keys(direct):
    return [entry["Key"] for entry in direct.s3.list_objects_v2(Bucket="shared").get("Contents", [])]


def test_what_one_machine_fetched_another_has_when_the_mirror_dropped_it(machine, spec, mirror, direct):
    machine("one").fetch(spec, quiet)
    digests = sorted([spec.packages[0].sha256, spec.artifacts[0].sha256])
    assert keys(direct) == [f"ingot/files/{digest[:2]}/{digest}" for digest in digests]
    shutil.rmtree(mirror.top)
    said = []
    found = machine("two").fetch(spec, said.append)
    assert {digest: file.read_bytes() for digest, file in found.items()} == {
        spec.packages[0].sha256: b"package",
        spec.artifacts[0].sha256: b"artifact",
    }
    assert "1 of 1 files came from s3://shared/ingot" in said


def test_what_is_here_asks_nobody(machine, spec, clients, proxy):
    machine("one").fetch(spec, quiet)
    before = proxy.seen.copy()
    machine("one").fetch(spec, quiet)
    assert proxy.seen == before


def test_what_is_damaged_there_is_said_fetched_again_and_replaced(machine, spec, direct, tmp_path):
    machine("one").fetch(spec, quiet)
    digest = spec.packages[0].sha256
    key = f"ingot/files/{digest[:2]}/{digest}"
    direct.s3.put_object(Bucket="shared", Key=key, Body=b"packagX")
    said = []
    machine("two").fetch(spec, said.append)
    assert package_file(tmp_path / "two" / "packages", digest).read_bytes() == b"package"
    assert [text for text in said if f"s3://shared/{key} is damaged" in text]
    assert direct.s3.get_object(Bucket="shared", Key=key)["Body"].read() == b"package"


def test_a_store_that_does_not_answer_is_said_once_and_not_used(machine, spec, proxy, tmp_path):
    proxy.fail("GetObject", code="AccessDenied", status=403, times=100)
    said = []
    machine("one").fetch(spec, said.append)
    assert package_file(tmp_path / "one" / "packages", spec.packages[0].sha256).is_file()
    assert len([text for text in said if "s3://shared/ingot is not read any more" in text]) == 1


def test_who_may_not_write_reads_all_the_same(machine, spec, mirror, proxy):
    machine("one").fetch(spec, quiet)
    proxy.fail("PutObject", code="AccessDenied", status=403, times=100)
    (mirror.top / "debian" / "q.deb").write_bytes(b"another")
    digest = hashlib.sha256(b"another").hexdigest()
    new = package("q", path="q.deb", sha256=digest, size=7)
    two, said = machine("two"), []
    two.fetch(replace(spec, packages=(new,), artifacts=()), said.append)
    assert len([text for text in said if "s3://shared/ingot is not written to any more" in text]) == 1
    two.fetch(replace(spec, packages=()), said.append)
    assert "1 of 1 files came from s3://shared/ingot" in said


def test_without_a_region_a_machine_bakes_as_it_does_without_a_shared_store(spec, tmp_path):
    def connect():
        raise InputError("no AWS region is set")

    said = []
    store = Store(tmp_path / "one", shared=BucketStore(ArchiveLocation("shared", ""), None, connect))
    assert len(store.fetch(spec, said.append)) == 2
    assert "s3://shared is not read any more: no AWS region is set" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [({"encrypted": False}, "has no default encryption"), ({"blocked": NAMES[1:]}, "is not blocked")],
)
def test_a_bucket_in_which_images_are_not_safe_is_refused(options, said, direct, clients, spec, tmp_path):
    make_bucket(direct, "open", **options)
    shared = BucketStore(ArchiveLocation("open", ""), None, lambda: clients)
    with pytest.raises(InputError, match=f"the shared store s3://open: .*{said}"):
        Store(tmp_path / "one", shared=shared).fetch(spec, quiet)
    assert direct.s3.list_objects_v2(Bucket="open")["KeyCount"] == 0


@pytest.fixture
def baked(tmp_path, machine, shared):
    """A small image in the store of the machine one, as if it had baked the web recipe."""
    small = make_image(tmp_path, ["a", None, "b", "a"])
    digest = recipe_digest(load_recipe(WEB))
    whole = whole_manifest(name="web", recipe_digest=digest, disk=small.manifest["disk"])
    store = machine("one")
    with store.receiving(digest, quiet) as directory:
        shutil.copy(small.disk, directory / "disk.raw")
        (directory / "manifest.json").write_text(json.dumps(whole))
    image = store.image(digest)
    shared().keep_image(image, quiet)
    return image


def test_what_one_machine_baked_another_takes(baked, machine):
    said = []
    image = machine("two").bake(load_recipe(WEB), said.append)
    assert image.disk.read_bytes() == baked.disk.read_bytes()
    assert image.manifest == baked.manifest
    assert f"web {baked.digest[:12]} came from s3://shared/ingot" in said


def test_a_damaged_image_is_not_taken(baked, machine, direct, monkeypatch):
    monkeypatch.setattr(
        "ingot.store.store.bake", lambda *_, **__: (_ for _ in ()).throw(BakeError("it bakes itself"))
    )
    block = next(key for key in keys(direct) if "/blocks/" in key)
    direct.s3.put_object(Bucket="shared", Key=block, Body=b"x")
    said, two = [], machine("two")
    with pytest.raises(BakeError, match="it bakes itself"):
        two.bake(load_recipe(WEB), said.append)
    assert [text for text in said if "is damaged" in text]
    assert two.image(baked.digest) is None
