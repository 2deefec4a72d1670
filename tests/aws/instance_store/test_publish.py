"""An image with its root on an instance store becomes an AMI of a bundle; and goes, parts and all."""

from __future__ import annotations

import datetime as dt
import random
import re
from dataclasses import replace

import pytest

from ingot.aws.instance_store import bucket
from ingot.aws.instance_store.bucket import BundlePlace
from ingot.aws.instance_store.images import BundleSettings
from ingot.aws.instance_store.settings import bundle_settings
from ingot.aws.prune.plan import Rules, plan_prune
from ingot.aws.prune.prune import prune
from ingot.aws.publish.cleanup import leftovers
from ingot.aws.publish.publish import publish
from ingot.aws.registry.entries import lookup
from ingot.aws.verify.image import verify_image
from ingot.blocks import BLOCK_SIZE
from ingot.errors import InputError, PublishError, VerificationError
from localcloud.core.environment import CERTIFICATE
from tests.aws.support import SmallImage, holdings, make_disk_image, make_image
from tests.outputs import document_of

pytestmark = pytest.mark.usefixtures("driven_clock")
BUCKET = "my-bundles"
ON_INSTANCE_STORE = {
    "root_device": "instance-store",
    "boot": {"mode": "legacy-bios", "kernel_command_line": ""},
}


def quiet(_message):
    """Progress that nobody reads."""


@pytest.fixture
def bundles(direct, pairs, cloud):
    """Where bundles go in this cloud, by its EC2's certificate."""
    direct.s3.create_bucket(Bucket=BUCKET)
    environ = {
        "INGOT_BUNDLES": f"s3://{BUCKET}/golden",
        "EC2_PRIVATE_KEY": str(pairs["user"][0]),
        "EC2_CERT": str(pairs["user"][1]),
        "INGOT_EC2_CERTIFICATE": str(cloud.directory / CERTIFICATE),
    }
    return bundle_settings(environ)


@pytest.fixture
def image(tmp_path, passing):
    small = make_image(tmp_path, ["a", None, "b", None])
    return passing(SmallImage(small.disk, {**small.manifest, **ON_INSTANCE_STORE}, small.digest))


def objects(clients):
    return [entry["Key"] for entry in clients.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_it_is_bundled_tested_and_named(clients, direct, settings, bundles, image, pairs):
    published = publish(image, clients, replace(settings, bundles=bundles), quiet)
    assert lookup(direct.ssm, "web", image.digest) == published.ami_id
    assert (published.snapshot_id, published.root_digest) == ("", image.manifest["disk"]["root_digest"])
    [ami] = direct.ec2.describe_images(ImageIds=[published.ami_id])["Images"]
    assert (ami["RootDeviceType"], ami["BootMode"], ami["ImdsSupport"]) == (
        "instance-store",
        "legacy-bios",
        "v2.0",
    )
    place = BundlePlace.of_image(ami["ImageLocation"])
    assert place.prefix.startswith(f"golden/web/{image.digest[:12]}/")
    assert objects(direct) == [f"{place.prefix}image.manifest.xml", f"{place.prefix}image.part.00"]
    tags = {tag["Key"]: tag["Value"] for tag in ami["Tags"]}
    assert (tags["ingot:state"], tags["ingot:digest"]) == ("published", image.digest)
    # Nothing of EBS's was made for it.
    assert set(holdings(direct)) == {"images", "parameters"}

    key = pairs["user"][0]
    known = {image.digest: image.manifest}
    verdict = verify_image(direct, published.ami_id, manifest_of=known.get, progress=quiet, key=key)
    assert (verdict.ok, verdict.by_manifest, verdict.read.blocks_read) == (True, True, 2)
    by_tag = verify_image(direct, published.ami_id, manifest_of={}.get, progress=quiet, key=key)
    assert (by_tag.ok, by_tag.by_manifest) == (True, False)
    with pytest.raises(InputError, match="takes its maker's key"):
        verify_image(direct, published.ami_id, manifest_of=known.get, progress=quiet)

    bucket.put(direct, place, "image.part.00", b"x")
    with pytest.raises(VerificationError, match=r"image\.part\.00 is damaged"):
        verify_image(direct, published.ami_id, manifest_of=known.get, progress=quiet, key=key)


def test_a_damaged_part_is_named_with_its_block_and_the_file_that_it_belongs_to(
    clients, direct, settings, bundles, passing, pairs, tmp_path
):
    content = {path: random.Random(path).randbytes(9 << 20) for path in ("/srv/one", "/srv/two")}
    small = make_disk_image(tmp_path, content)
    image = passing(SmallImage(small.disk, {**small.manifest, **ON_INSTANCE_STORE}, small.digest))
    published = publish(image, clients, replace(settings, bundles=bundles), quiet)
    [ami] = direct.ec2.describe_images(ImageIds=[published.ami_id])["Images"]
    place = BundlePlace.of_image(ami["ImageLocation"])
    damaged = bytearray(bucket.get(direct, place, "image.part.01"))
    damaged[len(damaged) // 2] ^= 1
    bucket.put(direct, place, "image.part.01", bytes(damaged))
    with pytest.raises(VerificationError) as caught:
        verify_image(
            direct,
            published.ami_id,
            manifest_of={image.digest: image.manifest}.get,
            progress=quiet,
            key=pairs["user"][0],
            disk_of={image.digest: image.disk}.get,
        )
    found = re.search(
        r"image\.part\.01 is damaged: .* block (\d+) and what follows cannot be read; in it: /srv/two$",
        caught.value.message,
    )
    assert found, caught.value.message
    # In the middle of the part, not where it begins.
    block = image.disk.read_bytes()[int(found[1]) * BLOCK_SIZE :][:BLOCK_SIZE]
    assert 2 << 20 < content["/srv/two"].index(block[:1000]) < 8 << 20


def test_the_test_clone_is_of_a_type_that_starts_it(clients, direct, settings, bundles, image, proxy):
    publish(image, clients, replace(settings, bundles=bundles), quiet)
    [reservation] = direct.ec2.describe_instances()["Reservations"]
    [instance] = reservation["Instances"]
    assert (instance["InstanceType"], instance["RootDeviceType"]) == ("m3.medium", "instance-store")


@pytest.mark.parametrize("operation", ["RegisterImage", "RunInstances", "PutParameter"])
def test_whatever_fails_no_part_is_left(operation, clients, direct, settings, bundles, image, proxy):
    proxy.fail(operation, code="UnauthorizedOperation", status=403)
    with pytest.raises(PublishError):
        publish(image, clients, replace(settings, bundles=bundles), quiet)
    assert (objects(direct), holdings(direct)) == ([], {})


def test_parts_of_another_machines_dead_publish_go_when_no_publish_can_take_so_long(
    clients, direct, settings, bundles, image, monkeypatch
):
    """Killed with `kill -9` on a machine that is gone: no journal here and no AMI knows of its parts."""
    published = publish(image, clients, replace(settings, bundles=bundles), quiet)
    kept = objects(direct)
    dead, others = (
        "golden/web/0123/dead/image.part.00",
        ["golden/web/notes", "golden/worker/1/2/image.part.00"],
    )
    for key in (dead, *others):
        direct.s3.put_object(Bucket=BUCKET, Key=key, Body=b"a part")
    direct.ssm.delete_parameter(Name=f"/ingot/web/{image.digest}")
    direct.ec2.create_tags(Resources=[published.ami_id], Tags=[{"Key": "ingot:digest", "Value": "another"}])
    said = []
    with_bundles = replace(settings, bundles=bundles)
    second = publish(image, clients, with_bundles, said.append)
    assert dead in objects(direct), "its publish may still run"
    direct.ssm.delete_parameter(Name=f"/ingot/web/{image.digest}")
    direct.ec2.create_tags(Resources=[second.ami_id], Tags=[{"Key": "ingot:digest", "Value": "another"}])
    monkeypatch.setattr(leftovers, "OLD", dt.timedelta(0))
    publish(image, clients, with_bundles, said.append)
    assert dead not in objects(direct)
    assert {*kept, *others} < set(objects(direct))
    assert "removed bundle s3://my-bundles/golden/web/0123/dead/ of a publish that died" in said


def test_a_prune_removes_the_parts_with_their_ami(clients, direct, settings, bundles, image):
    publish(image, clients, replace(settings, bundles=bundles), quiet)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    plan = plan_prune(clients, Rules(keep=0), later)
    [going] = plan.going
    [shown] = document_of("prune", plan.as_dict())["remove"]
    assert shown["bundle"].startswith(f"{BUCKET}/golden/web/")
    done = prune(clients, plan, quiet)
    assert (done.images, done.stayed) == ([going.ami_id], [])
    assert (objects(direct), holdings(direct)) == ([], {})


def test_without_keys_nothing_is_made(clients, direct, settings, image, pairs):
    with pytest.raises(PublishError, match="nothing says where its bundle goes"):
        publish(image, clients, settings, quiet)
    assert holdings(direct) == {}
    with pytest.raises(InputError) as caught:
        bundle_settings({"EC2_CERT": str(pairs["user"][1])})
    assert "INGOT_BUNDLES, EC2_PRIVATE_KEY, INGOT_EC2_CERTIFICATE not set" in caught.value.message


@pytest.mark.parametrize(
    ("location", "bucket_name", "prefix"),
    [("s3://b/x/y/", "b", "x/y/"), ("s3://b", "b", ""), ("s3://b/", "b", "")],
)
def test_where_bundles_are(location, bucket_name, prefix):
    place = BundlePlace.of(location)
    assert (place.bucket, place.prefix) == (bucket_name, prefix)
    assert BundlePlace.of_image(place.below("web").location("m.xml")) == place.below("web")


def test_a_whole_bucket_is_never_removed(direct):
    with pytest.raises(InputError, match="is a whole bucket"):
        bucket.remove(direct, BundlePlace.of("s3://b"))
    with pytest.raises(InputError, match="cannot be kept at '/tmp/x'"):
        BundlePlace.of("/tmp/x")
    assert bucket.remove(direct, BundlePlace.of("s3://no-such-bucket/x")) == 0


def test_a_bucket_without_access_control_lists(clients, bundles, proxy):
    assert isinstance(bundles, BundleSettings)
    proxy.fail("PutObject", code="AccessControlListNotSupported")
    with pytest.raises(InputError, match="takes no access control lists") as caught:
        bucket.put(clients, bundles.place, "x", b"x")
    assert "put-bucket-ownership-controls" in caught.value.hint
