"""Publishing by a builder instance: what it makes, and what it refuses before anything is made."""

from __future__ import annotations

import pytest

from ingot.aws.builder.base_ami import look_up
from ingot.aws.builder.placement import with_a_way_out
from ingot.aws.publish.blocks import BlockMap
from ingot.aws.registry.entries import lookup
from ingot.aws.session import tags
from ingot.aws.verify.image import read_back
from ingot.errors import PublishError
from ingot.spec import read_spec
from tests.aws.builder_stand_in import SEEDS, make_spec
from tests.aws.support import holdings


def test_the_builder_fills_the_snapshot_and_the_rest_is_done_from_here(publish, direct, stand_in):
    published = publish()
    assert lookup(direct.ssm, "web", published.digest) == published.ami_id
    [shot] = direct.ec2.describe_snapshots(SnapshotIds=[published.snapshot_id])["Snapshots"]
    marks = tags.tags_of(shot)
    assert (marks[tags.STATE], marks[tags.ROOT_DIGEST]) == (tags.PUBLISHED, published.root_digest)
    blocks = BlockMap.of(publish.manifests[published.digest])
    assert read_back(direct, published.snapshot_id, blocks, encrypted=False, progress=lambda _: None).equals(
        blocks
    )
    assert (published.blocks_sent, "instances" in holdings(direct)) == (7, False)
    left = [item["Key"] for item in direct.s3.list_objects_v2(Bucket="bundles")["Contents"]]
    assert [key.split("/")[0] for key in left] == ["bundles"]
    assert any("launch to AMI" in text for text in stand_in.progress)
    marks = [text for text in stand_in.progress if text.startswith("builder: bake: ")]
    assert marks == ["builder: bake: baking as if"]
    assert publish().reused


def test_only_what_differs_from_the_last_image_travels(publish):
    publish()
    assert publish(["a", None, *"bcXefg", "h"]).blocks_sent == 2


def test_the_end_is_set_before_anything_else_and_no_key_is_given(publish, direct, stand_in):
    publish()
    lines = [text for text in stand_in.user_data().splitlines() if text and not text.startswith("#")]
    assert lines[0].startswith("systemd-run ")
    assert "systemctl poweroff || shutdown -P" in lines[0]
    assert len(stand_in.user_data().encode()) < 16384
    [reservation] = direct.ec2.describe_instances(InstanceIds=[stand_in.instance_id])["Reservations"]
    assert "KeyName" not in reservation["Instances"][0]


def test_without_a_log_the_console_tells_all(publish, proxy, stand_in):
    for operation in ("CreateLogStream", "GetLogEvents"):
        proxy.fail(operation, code="AccessDeniedException")
    publish()
    assert "builder: bake: baking as if" in stand_in.progress


def test_no_capacity_names_the_subnets_and_another_type(publish, proxy, nothing_remains):
    proxy.fail("RunInstances", code="InsufficientInstanceCapacity", status=500)
    with pytest.raises(PublishError, match=r"no room for the instance in any subnet") as caught:
        publish()
    assert str(caught.value).count("subnet-") == 2
    assert "builder_instance_type" in str(caught.value)
    nothing_remains()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("m6g.large", r"is of arm64, the image ami-\w+ of x86_64"),
        ("m4.large", r"cannot boot by UEFI, as the image ami-\w+ must and has no NVMe volumes"),
    ],
)
def test_a_type_that_cannot_do_it_is_said_before_anything_is_made(
    kind, said, publish, builder, direct, proxy, nothing_remains
):
    direct.ec2.create_launch_template_version(
        LaunchTemplateId=builder.launch_template_id, LaunchTemplateData={"InstanceType": kind}
    )
    with pytest.raises(PublishError, match=said) as caught:
        publish()
    assert "with a Nitro type" in str(caught.value)
    assert proxy.seen["StartSnapshot"] == 0
    nothing_remains()


def test_a_type_that_the_region_lacks_is_said_before_anything_is_made(publish, proxy, nothing_remains):
    proxy.fail("DescribeInstanceTypes", code="InvalidInstanceType")
    with pytest.raises(PublishError, match=r"there is no instance type 'c7i.large' in us-east-1"):
        publish()
    assert proxy.seen["StartSnapshot"] == 0
    nothing_remains()


def test_an_image_that_is_gone_is_said_before_anything_is_made(publish, proxy, nothing_remains):
    with pytest.raises(
        PublishError, match=r"the builder's image ami-00000000000000000 .* is gone, or not shared"
    ):
        publish(image="ami-00000000000000000")
    with pytest.raises(PublishError, match="there is no SSM parameter /aws/service/none"):
        publish(image="/aws/service/none")
    assert proxy.seen["StartSnapshot"] == 0
    nothing_remains()


def test_an_image_is_found_by_its_parameter(publish, image_id, direct):
    direct.ssm.put_parameter(Name="/images/builder", Value=image_id, Type="String")
    assert publish(image="/images/builder").ami_id


def test_subnets_without_a_way_out_are_said_before_anything_is_made(
    publish, way_out, direct, proxy, nothing_remains
):
    direct.ec2.delete_route(RouteTableId=way_out, DestinationCidrBlock="0.0.0.0/0")
    with pytest.raises(PublishError, match=rf"no route for 0.0.0.0/0 in .*{way_out}") as caught:
        publish()
    assert "Internet gateway" in str(caught.value)
    assert proxy.seen["StartSnapshot"] == 0
    nothing_remains()


def test_public_subnets_without_public_addresses_are_no_way_out(
    publish, builder, direct, proxy, nothing_remains
):
    for subnet in builder.subnet_ids:
        direct.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": False})
    with pytest.raises(PublishError, match="no automatic public addresses") as caught:
        publish()
    assert all(subnet in str(caught.value) for subnet in builder.subnet_ids)
    assert proxy.seen["StartSnapshot"] == 0
    nothing_remains()
    direct.ec2.modify_subnet_attribute(SubnetId=builder.subnet_ids[1], MapPublicIpOnLaunch={"Value": True})
    assert with_a_way_out(direct, builder.subnet_ids) == builder.subnet_ids[1:]


@pytest.fixture
def base_ami(direct, image_id):
    """The builder's image as a lock has a base AMI, with another root device."""
    [image] = direct.ec2.describe_images(ImageIds=[image_id])["Images"]
    shot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ami_id = direct.ec2.register_image(
        Name="company-base",
        Architecture="x86_64",
        RootDeviceName="/dev/sda1",
        VirtualizationType="hvm",
        EnaSupport=True,
        BootMode="uefi-preferred",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": shot}}],
    )["ImageId"]
    direct.ec2.get_waiter("image_available").wait(ImageIds=[ami_id], WaiterConfig={"Delay": 1})
    return look_up(direct, {"id": ami_id, "owner": "self"}, "x86_64")


def test_on_a_base_ami_the_builder_boots_it_and_the_image_boots_as_it_does(
    base_ami, publish, direct, proxy, stand_in
):
    clones = {}
    console_of = proxy.console
    attached = {"Name": "attachment.instance-id"}

    def volumes(instance_id):
        found = direct.ec2.describe_volumes(Filters=[attached | {"Values": [instance_id]}])["Volumes"]
        clones[instance_id] = {
            v["Attachments"][0]["Device"]: (v["SnapshotId"], v["Encrypted"]) for v in found
        }
        return console_of(instance_id)

    proxy.console = volumes
    published = publish(base=base_ami)
    [clone] = clones.keys() - {stand_in.instance_id}
    assert clones[clone] == {"/dev/sda1": (published.snapshot_id, True)}
    [image] = direct.ec2.describe_images(ImageIds=[published.ami_id])["Images"]
    assert (image["BootMode"], image["RootDeviceName"]) == ("uefi-preferred", "/dev/sda1")
    [reservation] = direct.ec2.describe_instances(InstanceIds=[stand_in.instance_id])["Reservations"]
    assert reservation["Instances"][0]["ImageId"] == base_ami["id"]
    assert "mkdir -p -m 700 /run/ingot-builder" in stand_in.user_data()
    assert published.blocks_sent == 7
    assert any("cannot be made again bit for bit" in text for text in stand_in.progress)
    blocks = BlockMap.of(publish.manifests[published.digest])
    assert read_back(direct, published.snapshot_id, blocks, encrypted=False, progress=lambda _: None).equals(
        blocks
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "ami-00000000000000000"}, "is gone from us-east-1, or no longer shared"),
        ({"owner": "210987654321"}, "belongs to 123456789012; the lock says 210987654321"),
        ({"root_size": 8}, r"root_volume.size is 1 GiB; the base AMI ami-\w+ needs 8 GiB"),
    ],
)
def test_a_base_ami_that_is_not_the_locks_is_said_before_anything_is_made(
    changed, said, base_ami, publish, direct, proxy
):
    before = holdings(direct)
    with pytest.raises(PublishError, match=said):
        publish(base=base_ami | changed)
    assert holdings(direct) == before
    assert proxy.seen["StartSnapshot"] == 0


def test_the_bundle_is_the_same_for_the_same_content(tmp_path):
    from ingot.aws.builder.bundle import make_bundle

    spec = make_spec(SEEDS)
    assert make_bundle(spec, tmp_path).sha256 == make_bundle(read_spec(spec.text()), tmp_path).sha256
    assert make_bundle(spec, tmp_path, [None]).sha256 != make_bundle(spec, tmp_path).sha256
