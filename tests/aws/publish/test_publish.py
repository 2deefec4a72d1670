"""Publishing to the local cloud's EBS direct: what travels, what exists afterwards, what is not repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingot.aws.publish.publish import publish
from ingot.aws.registry.entries import lookup
from ingot.aws.registry.published import find
from ingot.errors import PublishError, VerificationError
from ingot.recipe.asset import registry_parameter
from tests.aws.support import holdings, make_image

pytestmark = pytest.mark.usefixtures("driven_clock")


def quiet(_message):
    """Progress that nobody reads."""


@pytest.fixture
def assert_equals(blocks_of):
    """A function that compares a published snapshot, as the local cloud has it on disk, with the image."""

    def check(published, image):
        _, paths = blocks_of(published.snapshot_id)
        stored = {index: path.read_bytes() for index, path in paths.items()}
        disk = image.disk.read_bytes()
        for index in range(len(image.manifest["disk"]["blocks"])):
            expected = disk[index * 524288 : (index + 1) * 524288]
            assert stored.get(index, bytes(524288)) == expected, f"block {index}"

    return check


def test_an_image_becomes_an_ami_that_the_registry_names(
    tmp_path, clients, direct, settings, passing, assert_equals
):
    image = passing(make_image(tmp_path, ["a", None, "b", "c", None]))
    published = publish(image, clients, settings, quiet)
    assert lookup(direct.ssm, "web", image.digest) == published.ami_id
    assert holdings(direct) == {
        "snapshots": [published.snapshot_id],
        "images": [published.ami_id],
        "parameters": [registry_parameter("web", image.digest)],
    }
    assert published.blocks_sent == 3
    assert published.root_digest == image.manifest["disk"]["root_digest"]
    assert_equals(published, image)
    assert not list((tmp_path / "records" / "publishing").glob("*.json"))


def test_the_ami_boots_by_uefi_and_requires_imdsv2(tmp_path, clients, direct, settings, passing):
    image = passing(make_image(tmp_path, ["a"]))
    published = publish(image, clients, settings, quiet)
    ami = direct.ec2.describe_images(ImageIds=[published.ami_id])["Images"][0]
    assert (ami["Architecture"], ami["BootMode"]) == ("x86_64", "uefi")
    assert (ami["EnaSupport"], ami["ImdsSupport"], ami["VirtualizationType"]) == (True, "v2.0", "hvm")
    mapping = ami["BlockDeviceMappings"][0]
    assert mapping["DeviceName"] == ami["RootDeviceName"]
    assert mapping["Ebs"]["VolumeType"] == "gp3"
    tags = {tag["Key"]: tag["Value"] for tag in ami["Tags"]}
    assert tags["ingot:recipe"] == "web"
    assert tags["ingot:digest"] == image.digest
    assert tags["ingot:state"] == "published"
    for section, digest in image.manifest["inventory"].items():
        assert tags[f"ingot:inventory:{section}"] == digest


def test_what_is_published_is_not_published_again(tmp_path, clients, proxy, settings, passing):
    image = passing(make_image(tmp_path, ["a", "b"]))
    first = publish(image, clients, settings, quiet)
    proxy.seen.clear()
    again = publish(image, clients, settings, quiet)
    assert (again.ami_id, again.reused) == (first.ami_id, True)
    assert not proxy.seen.keys() & {
        "StartSnapshot",
        "PutSnapshotBlock",
        "RegisterImage",
        "RunInstances",
        "PutParameter",
    }


def test_a_child_sends_changed_and_newly_zeroed_blocks_only(
    tmp_path, clients, proxy, settings, passing, assert_equals
):
    old = passing(make_image(tmp_path, ["a", "b", "c", None, None], name="old"))
    publish(old, clients, settings, quiet)
    new = passing(make_image(tmp_path, ["a", None, "C", None, "d"], name="new"))
    proxy.seen.clear()
    published = publish(new, clients, settings, quiet)
    assert proxy.seen["PutSnapshotBlock"] == published.blocks_sent == 3
    assert_equals(published, new)


def test_a_parent_whose_manifest_is_unknown_here_is_no_parent(
    tmp_path, clients, settings, passing, known, assert_equals
):
    publish(passing(make_image(tmp_path, ["a", "b", "c"], name="old")), clients, settings, quiet)
    known.clear()
    new = passing(make_image(tmp_path, ["a", None, "c"], name="new"))
    published = publish(new, clients, settings, quiet)
    assert published.blocks_sent == 2
    assert_equals(published, new)


def test_of_several_parents_the_closest_is_taken(tmp_path, clients, settings, passing):
    publish(passing(make_image(tmp_path, ["a", "b", "c", "d"], name="1")), clients, settings, quiet)
    publish(passing(make_image(tmp_path, ["A", "B", "C", "D"], name="2")), clients, settings, quiet)
    back = passing(make_image(tmp_path, ["a", "b", "c", "e"], name="3"))
    assert publish(back, clients, settings, quiet).blocks_sent == 1


def test_a_refused_parent_costs_a_full_upload(tmp_path, clients, proxy, settings, passing, assert_equals):
    publish(passing(make_image(tmp_path, ["a", "b", "c"], name="old")), clients, settings, quiet)
    new = passing(make_image(tmp_path, ["a", "b", "d"], name="new"))
    proxy.fail("StartSnapshot", code="ValidationException", times=1)
    published = publish(new, clients, settings, quiet)
    assert published.blocks_sent == 3
    assert_equals(published, new)


def test_where_the_account_encrypts_zeros_are_written_too(
    tmp_path, clients, direct, settings, passing, assert_equals
):
    publish(passing(make_image(tmp_path, ["a", None, "b"], name="plain")), clients, settings, quiet)
    direct.ec2.enable_ebs_encryption_by_default()
    image = passing(make_image(tmp_path, ["a", None, "c"], name="secret"))
    published = publish(image, clients, settings, quiet)
    assert published.blocks_sent == 3, "an unencrypted parent is refused, and omitted blocks would be random"
    assert_equals(published, image)
    child = passing(make_image(tmp_path, ["a", None, "e"], name="child"))
    assert publish(child, clients, settings, quiet).blocks_sent == 1
    direct.ec2.disable_ebs_encryption_by_default()


def test_a_disk_that_changed_after_the_bake_is_not_published(tmp_path, clients, direct, settings, passing):
    image = passing(make_image(tmp_path, ["a", "b"]))
    data = bytearray(image.disk.read_bytes())
    data[600_000] ^= 1
    image.disk.write_bytes(data)
    with pytest.raises(PublishError, match=r"block 1 .* was changed after the bake"):
        publish(image, clients, settings, quiet)
    assert holdings(direct) == {}


def test_a_changed_manifest_is_not_published(tmp_path, clients, direct, settings, passing):
    image = passing(make_image(tmp_path, ["a", "b"]))
    image.manifest["disk"]["root_digest"] = "0" * 64
    with pytest.raises(PublishError, match="manifest was changed"):
        publish(image, clients, settings, quiet)
    assert holdings(direct) == {}


def test_an_untested_ami_is_not_named_until_it_is_tested(tmp_path, clients, direct, proxy, settings, passing):
    image = passing(make_image(tmp_path, ["a", "b"]))
    untested = publish(image, clients, replace(settings, clone=None), quiet)
    assert lookup(direct.ssm, "web", image.digest) is None
    assert proxy.seen["RunInstances"] == 0
    proxy.seen.clear()
    tested = publish(image, clients, settings, quiet)
    assert tested.ami_id == untested.ami_id == lookup(direct.ssm, "web", image.digest)
    assert (proxy.seen["PutSnapshotBlock"], proxy.seen["RunInstances"]) == (0, 1)


def test_an_entry_whose_ami_is_gone_is_repaired(tmp_path, clients, direct, settings, passing):
    image = passing(make_image(tmp_path, ["a"]))
    first = publish(image, clients, settings, quiet)
    direct.ec2.deregister_image(ImageId=first.ami_id)
    assert find(clients, "web", image.digest) is None
    second = publish(image, clients, settings, quiet)
    assert second.ami_id != first.ami_id
    assert lookup(direct.ssm, "web", image.digest) == second.ami_id


def test_a_lost_entry_is_made_again_without_a_bake(tmp_path, clients, direct, proxy, settings, passing):
    image = passing(make_image(tmp_path, ["a"]))
    first = publish(image, clients, settings, quiet)
    direct.ssm.delete_parameter(Name=registry_parameter("web", image.digest))
    proxy.seen.clear()
    assert publish(image, clients, settings, quiet).ami_id == first.ami_id
    assert lookup(direct.ssm, "web", image.digest) == first.ami_id
    assert proxy.seen["StartSnapshot"] == 0


def test_an_image_with_the_same_blocks_as_its_parent_sends_none(
    tmp_path, clients, settings, passing, assert_equals
):
    old = passing(make_image(tmp_path, ["a", None], name="old"))
    publish(old, clients, settings, quiet)
    digest = "f" * 64
    manifest = old.manifest | {"recipe_digest": digest, "version": digest[:12]}
    new = passing(replace(old, manifest=manifest, digest=digest))
    published = publish(new, clients, settings, quiet)
    assert published.blocks_sent == 0
    assert_equals(published, new)


@pytest.mark.parametrize("untested", [False, True])
def test_a_snapshot_that_is_not_as_it_should_be_is_never_named(
    untested, tmp_path, clients, direct, settings, passing
):
    """Whether it was made now, or stands beneath an AMI that waits for its tests."""
    image = passing(make_image(tmp_path, ["a", None, "b"]))
    if untested:
        publish(image, clients, replace(settings, clone=None), quiet)
    before, read = holdings(direct), []

    def refuse(snapshot_id, blocks):
        read.append((snapshot_id, blocks.root_digest))
        raise VerificationError("it differs")

    with pytest.raises(VerificationError, match="it differs"):
        publish(image, clients, replace(settings, check_snapshot=refuse), quiet)
    assert [root for _, root in read] == [image.manifest["disk"]["root_digest"]]
    assert lookup(direct.ssm, "web", image.digest) is None
    assert holdings(direct) == before
