"""Restoring an image that the store has already."""

import json
from dataclasses import replace

import pytest

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import archive
from ingot.aws.archive.location import ArchiveLocation
from ingot.errors import VerificationError
from ingot.pipeline.archive import ArchiveOptions, RestoreOptions, restore
from ingot.store import Store
from tests.aws.archive.test_images import SBOM, make_bucket, quiet
from tests.aws.conftest import *  # noqa: F403 - the local cloud's control plane
from tests.aws.support import make_image
from tests.diff.manifests import manifest as whole_manifest


@pytest.fixture
def image(tmp_path):
    """A small image whose manifest the store takes."""
    image = make_image(tmp_path, ["a", None, "b"])
    disk = image.manifest["disk"]
    return replace(image, manifest=whole_manifest(name="web", recipe_digest=image.digest, disk=disk))


@pytest.fixture
def archived(direct, clients, image, tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    owner = direct.sts.get_caller_identity()["Account"]
    archive(Bucket(clients, ArchiveLocation(make_bucket(direct), ""), owner), image, SBOM, quiet)
    return ArchiveOptions("s3://archive")


def test_it_comes_into_the_store_once(archived, image, clients, proxy):
    only = RestoreOptions("web", publish=False)
    restored = restore(clients, archived, only, quiet).image
    assert (restored.digest, restored.disk.read_bytes()) == (image.digest, image.disk.read_bytes())
    said = []
    assert restore(clients, archived, only, said.append).image == restored
    assert said == [f"web {image.digest[:12]} is in the store already"]


def test_another_disk_under_its_digest_is_not_published_as_the_archives(archived, image, clients):
    restored = restore(clients, archived, RestoreOptions("web", publish=False), quiet).image
    disk = image.manifest["disk"] | {"root_digest": "0" * 64}
    (restored.directory / "manifest.json").write_text(json.dumps(image.manifest | {"disk": disk}))
    with pytest.raises(VerificationError, match=rf"has the root digest {'0' * 64} in the store, and "):
        restore(clients, archived, RestoreOptions("web", publish=False), quiet)
    assert Store().image(image.digest) is not None
