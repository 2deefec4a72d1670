"""An image that is published and no longer here: its blocks come back from the snapshot,
its manifest from the disk.
"""

import base64
import hashlib
import json
from functools import partial

import pytest

from ingot.aws.session import tags
from ingot.aws.session.waiting import wait_until
from ingot.diff.compare import image_diff
from ingot.diff.sides.fetch import Registry
from ingot.diff.sides.find import Finder
from ingot.errors import InputError
from ingot.store import Store
from tests.aws.conftest import cloud, direct, running_cloud, running_server, session_clients
from tests.diff.disks import make_image, text

__all__ = ["cloud", "direct", "running_cloud", "running_server", "session_clients"]
BLOCK = 524288


def publish(clients, image, **extra):
    """Put an image's blocks into a snapshot and register it, as a publish does."""
    image_tags = {
        tags.RECIPE: "web",
        tags.DIGEST: image.manifest["recipe_digest"],
        tags.ROOT_DIGEST: image.manifest["disk"]["root_digest"],
        **extra,
    }
    snapshot = clients.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    data = image.disk.read_bytes()
    written = [index for index, digest in enumerate(image.manifest["disk"]["blocks"]) if digest]
    for index in written:
        block = data[index * BLOCK : (index + 1) * BLOCK].ljust(BLOCK, b"\0")
        checksum = base64.b64encode(hashlib.sha256(block).digest()).decode()
        clients.ebs.put_snapshot_block(
            SnapshotId=snapshot,
            BlockIndex=index,
            BlockData=block,
            DataLength=BLOCK,
            Checksum=checksum,
            ChecksumAlgorithm="SHA256",
        )
    clients.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(written))
    shown = partial(clients.ec2.describe_snapshots, SnapshotIds=[snapshot])
    wait_until(lambda: shown()["Snapshots"][0]["State"] == "completed", "the snapshot", limit=60)
    return clients.ec2.register_image(
        Name=f"ingot/{image_tags[tags.DIGEST][:12]}", Architecture="x86_64", RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
        TagSpecifications=[{"ResourceType": "image", "Tags": tags.tag_list(image_tags)}],
    )["ImageId"]  # fmt: skip


@pytest.fixture
def image(tmp_path):
    return make_image(
        tmp_path, text("/srv/app", "one\n"), name="published", changed="/srv/app\tx\n", digest="c" * 64
    )


@pytest.fixture
def finder(direct, tmp_path):
    with Finder(Store(tmp_path / "store"), tmp_path, lambda: Registry(direct), lambda _line: None) as finder:
        yield finder


def test_an_ami_is_fetched_as_it_was_baked(direct, finder, image):
    found = finder.find(publish(direct, image))
    assert found.manifest == image.manifest
    diff = image_diff(image.manifest, found.manifest, before_disk=image.disk, after_disk=found.disk)
    assert diff.empty


def test_a_digest_is_found_among_the_published(direct, finder, image):
    publish(direct, image)
    assert finder.find("cccccc").manifest["recipe_digest"] == "c" * 64


def test_what_was_fetched_goes_at_the_end(direct, image, tmp_path):
    ami_id = publish(direct, image)
    store = Store(tmp_path / "store")
    with Finder(store, tmp_path, lambda: Registry(direct), lambda _line: None) as finder:
        disk = finder.find(ami_id).disk
        assert disk.is_file()
        store.remove_leftovers()
        assert disk.is_file()  # it is in use
    assert list(store.work.iterdir()) == []


def test_the_store_is_used_when_it_has_the_same_bytes(direct, finder, image, tmp_path):
    target = tmp_path / "store/images" / ("c" * 64)
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps(image.manifest))
    (target / "disk.raw").touch()
    assert finder.find(publish(direct, image)).disk == target / "disk.raw"


def test_what_is_published_counts_when_the_store_has_other_bytes(direct, finder, image, tmp_path):
    target = tmp_path / "store/images" / ("c" * 64)
    target.mkdir(parents=True)
    changed = {**image.manifest, "disk": {**image.manifest["disk"], "root_digest": "d" * 64}}
    (target / "manifest.json").write_text(json.dumps(changed))
    (target / "disk.raw").touch()
    assert finder.find(publish(direct, image)).disk != target / "disk.raw"


def test_no_such_ami(finder):
    with pytest.raises(InputError, match="there is no AMI ami-0123456789abcdef0 in us-east-1"):
        finder.find("ami-0123456789abcdef0")


def test_an_ami_of_somebody_else(direct, finder, image):
    ami_id = publish(direct, image)
    direct.ec2.delete_tags(Resources=[ami_id], Tags=[{"Key": tags.DIGEST}])
    with pytest.raises(InputError, match="has no tag ingot:digest, or no snapshot: not an image of Ingot"):
        finder.find(ami_id)


def test_a_disk_that_is_no_image(direct, finder, image, tmp_path):
    from tests.bake.disk.helpers import make_disk, tree
    from tests.diff.disks import DiskImage

    disk, written = make_disk(tmp_path, tree(text("/etc/hosts")), name="foreign")
    manifest = {
        "recipe_digest": "e" * 64,
        "disk": {"root_digest": written.root_digest, "blocks": written.blocks},
    }
    with pytest.raises(InputError, match="is not an image of Ingot: it has no /etc/os-release"):
        finder.find(publish(direct, DiskImage(disk, manifest)))


def test_a_digest_that_is_not_published(finder):
    with pytest.raises(InputError, match="no image dddd in the store, nor is it published in us-east-1"):
        finder.find("dddd")


def test_a_manifest_that_was_kept_without_its_disk_is_used(direct, finder, image):
    baked = {**image.manifest, "epoch": 7}
    finder.store.keep_manifest(baked)
    assert finder.find(publish(direct, image)).manifest == baked


def test_a_kept_manifest_of_other_bytes_is_not_used(direct, finder, image):
    finder.store.keep_manifest(
        {**image.manifest, "disk": {**image.manifest["disk"], "root_digest": "d" * 64}}
    )
    assert finder.find(publish(direct, image)).manifest == image.manifest


def test_an_image_that_both_words_name_is_fetched_once(direct, finder, image):
    assert finder.find(publish(direct, image)) is finder.find("cccc")
