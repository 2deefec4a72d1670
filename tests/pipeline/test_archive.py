"""Restoring an image that the store has already."""

import json
import random
from dataclasses import replace

import pytest

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import archive
from ingot.aws.archive.location import ArchiveLocation
from ingot.blocks import BLOCK_SIZE
from ingot.errors import VerificationError
from ingot.pipeline.archive import ArchiveOptions, RestoreOptions, restore
from ingot.store import Store
from tests.aws.archive.test_images import SBOM, make_bucket, quiet
from tests.aws.conftest import *  # noqa: F403 - the local cloud's control plane
from tests.aws.support import holdings, make_disk_image, make_image
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


def test_a_block_that_ebs_has_otherwise_is_named_with_its_file_and_no_ami_is_made(
    direct, clients, proxy, blocks_of, tmp_path, monkeypatch
):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    content = {path: random.Random(path).randbytes(1_200_000) for path in ("/srv/one", "/srv/two")}
    small = make_disk_image(tmp_path, content)
    disk = small.manifest["disk"]
    image = replace(small, manifest=whole_manifest(name="web", recipe_digest=small.digest, disk=disk))
    owner = direct.sts.get_caller_identity()["Account"]
    archive(Bucket(clients, ArchiveLocation(make_bucket(direct), ""), owner), image, SBOM, quiet)
    index = image.disk.read_bytes().index(content["/srv/two"][600_000:600_100]) // BLOCK_SIZE

    def flip():
        direct.ec2.get_waiter("snapshot_completed").wait(OwnerIds=["self"], WaiterConfig={"Delay": 1})
        [snapshot] = direct.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        _, paths = blocks_of(snapshot["SnapshotId"])
        data = bytearray(paths[index].read_bytes())
        data[4711] ^= 1
        paths[index].write_bytes(data)

    proxy.fail("CompleteSnapshot", lost=True, times=1, then=flip)
    with pytest.raises(VerificationError, match=rf"these differ:\n  block {index}; in it: /srv/two"):
        restore(clients, ArchiveOptions("s3://archive"), RestoreOptions("web", test=False), quiet)
    assert holdings(direct) == {}
