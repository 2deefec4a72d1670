"""Publishing by a builder instance: what it makes, what each failure leaves (nothing), and what the message says."""

from __future__ import annotations

import json
import os
import threading

import pytest

from ingot.aws import tags
from ingot.aws.base_ami import look_up
from ingot.aws.blocks import BlockMap
from ingot.aws.publish_builder import Work, publish_by_builder
from ingot.aws.readback import read_back
from ingot.aws.registry import lookup
from ingot.aws.settings import BuilderSettings, PublishSettings
from ingot.builder import __main__ as program
from ingot.builder import bootstrap, report
from ingot.errors import BakeError, PublishError
from tests.aws.builder_stand_in import MetadataService, StandIn, make_plan
from tests.aws.support import holdings, line

SEEDS = ["a", None, *"bcdefg", None]


@pytest.fixture
def service(proxy):
    service = MetadataService(proxy.url)
    yield service
    service.close()


@pytest.fixture
def stand_in(tmp_path, direct, service, proxy, monkeypatch):
    stand_in = StandIn(tmp_path / "builders", direct, service)
    monkeypatch.setenv("INGOT_CONSOLE", "")  # put back at the end; the stand-in sets it for each instance
    monkeypatch.setattr(bootstrap, "METADATA", service.url)
    monkeypatch.setattr(report, "DELAY", 0.01)
    monkeypatch.setattr(program, "bake", stand_in.bake)
    monkeypatch.setattr(program, "bake_live", stand_in.bake_live)
    monkeypatch.setattr(program, "disk_of_root", stand_in.disk_of_root)

    def said(instance_id):
        if instance_id == stand_in.instance_id or not stand_in.instance_id:
            return stand_in.console()
        result = {"recipe": "web", "digest": stand_in.digest, "ok": True}
        return line("ingot-test", result | {"results": [{"name": "the app answers", "ok": True}]})

    proxy.console = said
    yield stand_in
    stand_in.finish()


@pytest.fixture
def image_id(direct):
    shot = direct.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    direct.ebs.complete_snapshot(SnapshotId=shot, ChangedBlocksCount=0)
    direct.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[shot], WaiterConfig={"Delay": 1})
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": shot}}
    return direct.ec2.register_image(
        Name="builder", Architecture="x86_64", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping],
        VirtualizationType="hvm", EnaSupport=True, BootMode="uefi",
    )["ImageId"]  # fmt: skip


@pytest.fixture
def way_out(direct):
    """The default VPC as AWS makes it: with a route to an Internet gateway."""
    gateway = direct.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    vpc = direct.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    direct.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    [table] = direct.ec2.describe_route_tables()["RouteTables"]
    direct.ec2.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )
    return table["RouteTableId"]


@pytest.fixture
def builder(direct, image_id, clone_settings, way_out):
    direct.s3.create_bucket(Bucket="bundles")
    direct.logs.create_log_group(logGroupName="builder")
    template = direct.ec2.create_launch_template(
        LaunchTemplateName="builder", LaunchTemplateData={"InstanceType": "c7i.large"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    return BuilderSettings(
        template, clone_settings.subnet_ids, "bundles", "builder", image_id, boot_limit=20, silence_limit=20, limit=60
    )  # fmt: skip


@pytest.fixture
def base(direct, image_id):
    """What the account holds before a publish."""
    return holdings(direct)


@pytest.fixture
def publish(tmp_path, clients, builder, clone_settings, stand_in, base):
    manifests = {}

    def run(seeds=SEEDS, *, base=None, **changed):
        plan = make_plan(seeds) | ({} if base is None else {"base": {"us-east-1": base}, "install": []})
        stand_in.seeds, stand_in.digest = seeds, plan["recipe_digest"]
        settings = PublishSettings(
            tmp_path / "records", clone_settings, manifest_of=manifests.get, pace=0.01,
            keep_manifest=lambda manifest: manifests.update({manifest["recipe_digest"]: manifest}),
        )  # fmt: skip
        chosen = BuilderSettings(**{**builder.__dict__, **changed})
        return publish_by_builder(Work(plan, tmp_path, {}, {}), clients, chosen, settings, stand_in)

    run.manifests = manifests
    return run


@pytest.fixture
def nothing_remains(direct, base, tmp_path, stand_in):
    """Call it to see that the account is as before the publish."""

    def check():
        stand_in.finish()
        assert holdings(direct) == base
        assert not list((tmp_path / "records" / "publishing").glob("*.json"))

    return check


def test_the_builder_fills_the_snapshot_and_the_rest_is_done_from_here(publish, direct, stand_in):
    published = publish()
    assert lookup(direct.ssm, "web", published.digest) == published.ami_id
    [shot] = direct.ec2.describe_snapshots(SnapshotIds=[published.snapshot_id])["Snapshots"]
    told = tags.tags_of(shot)
    assert (told[tags.STATE], told[tags.ROOT_DIGEST]) == (tags.PUBLISHED, published.root_digest)
    blocks = BlockMap.of(publish.manifests[published.digest])
    assert read_back(direct, published.snapshot_id, blocks, encrypted=False, progress=lambda _: None).equals(
        blocks
    )
    assert (published.blocks_sent, "instances" in holdings(direct)) == (7, False)
    left = [item["Key"] for item in direct.s3.list_objects_v2(Bucket="bundles")["Contents"]]
    assert [key.split("/")[0] for key in left] == ["bundles"]
    assert any("launch to AMI" in text for text in stand_in.progress)
    told = [text for text in stand_in.progress if text.startswith("builder: bake: ")]
    assert told == ["builder: bake: baking as if"]
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


STEPS = [
    "DescribeInstanceTypes",
    "DescribeSubnets",
    "StartSnapshot",
    "RunInstances",
    "DescribeInstances",
    "CompleteSnapshot",
    "CreateTags",
    "RegisterImage",
]


@pytest.mark.parametrize("operation", STEPS)
def test_a_refused_step_leaves_nothing(operation, publish, proxy, nothing_remains):
    # Before anything is made, DescribeInstances looks for what a former publish left.
    after = 1 if operation == "DescribeInstances" else 0
    proxy.fail(operation, code="UnauthorizedOperation", status=403, times=1, after=after)
    with pytest.raises(PublishError, match=operation) as caught:
        publish()
    nothing_remains()
    assert "permission" in str(caught.value)


def test_a_builder_that_may_not_write_blocks_says_so(publish, proxy, nothing_remains):
    proxy.fail("PutSnapshotBlock", code="AccessDeniedException", status=403)
    with pytest.raises(PublishError, match=r"failed: PUT .*/blocks/\d: HTTP status 403") as caught:
        publish()
    assert "the end of its log:\n" in str(caught.value)
    assert "    bake: baking as if" in str(caught.value)
    nothing_remains()


def test_blocks_are_sent_again_when_they_are_throttled(publish, proxy):
    proxy.fail("PutSnapshotBlock", code="ThrottlingException", status=400, times=1, after=1)
    proxy.fail("PutSnapshotBlock", times=1, after=3)
    assert publish().blocks_sent == 7


def test_a_bake_that_fails_is_told_with_its_hint(publish, stand_in, nothing_remains):
    def fail(stage):
        if stage == "bake":
            raise BakeError(
                "recipe.yaml:30: the step `false` failed: exit status 1", hint="a step runs as root"
            )

    stand_in.before = fail
    with pytest.raises(PublishError, match=r"failed: recipe.yaml:30: the step `false` failed") as caught:
        publish()
    assert caught.value.hint == "a step runs as root"
    nothing_remains()


@pytest.mark.parametrize(
    ("at", "said"),
    [("start", "before it said a word"), ("bake", "it ended in bake"), ("done", "it ended in bake")],
)
def test_a_builder_that_is_killed_leaves_nothing(at, said, publish, stand_in, direct, nothing_remains):
    def kill(stage):
        if stage == at:
            direct.ec2.terminate_instances(InstanceIds=[stand_in.instance_id])
            stand_in.off()

    stand_in.before = kill
    with pytest.raises(PublishError, match=rf"the builder i-\w+ is terminated.*{said}"):
        publish()
    nothing_remains()


def test_a_builder_that_dies_while_it_sends_blocks_leaves_nothing(
    publish, stand_in, direct, proxy, nothing_remains
):
    def kill():
        direct.ec2.terminate_instances(InstanceIds=[stand_in.instance_id])

    proxy.fail("PutSnapshotBlock", code="AccessDeniedException", status=403, after=3, then=kill)
    with pytest.raises(PublishError):
        publish()
    nothing_remains()


@pytest.mark.parametrize("at", ["snapshot", "builder i-"])
def test_after_a_kill_of_the_publish_the_next_one_ends_its_builder(at, publish, stand_in, direct, base):
    child = os.fork()
    if child == 0:
        stand_in.killed_at = at
        try:
            publish()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = holdings(direct)
    assert len(left["snapshots"]) == len(base["snapshots"]) + 1
    assert ("instances" in left) == (at == "builder i-")
    published = publish()
    found = holdings(direct)
    assert "instances" not in found
    assert sorted(found["snapshots"]) == sorted([*base["snapshots"], published.snapshot_id])
    assert sorted(found["images"]) == sorted([*base["images"], published.ami_id])


def test_a_builder_that_never_reports_is_ended(publish, stand_in, nothing_remains):
    stand_in.runs = False
    with pytest.raises(PublishError, match=r"never reported within 1 s") as caught:
        publish(boot_limit=1)
    assert "does its image run user data" in str(caught.value)
    assert "the end of its console:\n    booting" in str(caught.value)
    nothing_remains()


def test_a_builder_that_falls_silent_is_ended(publish, stand_in, nothing_remains):
    ended = threading.Event()
    stand_in.before = lambda stage: ended.wait(30) if stage == "bake" else None
    try:
        with pytest.raises(PublishError, match=r"has been silent for \d s"):
            publish(silence_limit=2)
    finally:
        ended.set()
    nothing_remains()


def test_a_block_that_is_not_the_manifests_is_refused_when_the_snapshot_completes(
    publish, stand_in, direct, nothing_remains, monkeypatch
):
    """The builder is not believed: EBS compares what it wrote with the manifest that it left."""
    sent = program.Upload.run

    def run(upload):
        upload._digests = [digest if index else None for index, digest in enumerate(upload._digests)]
        upload._indexes = upload._indexes[1:]
        upload._next = iter(upload._indexes)
        return sent(upload)

    monkeypatch.setattr(program.Upload, "run", run)
    with pytest.raises(PublishError, match="complete snap-"):
        publish()
    nothing_remains()


def test_a_manifest_of_another_recipe_is_refused(publish, stand_in, nothing_remains, monkeypatch):
    bake = stand_in.bake
    monkeypatch.setattr(program, "bake", lambda plan, **how: bake({**plan, "recipe_digest": "0" * 64}, **how))
    with pytest.raises(PublishError, match="the builder baked 0000"):
        publish()
    nothing_remains()


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
    assert "choose a Nitro type" in str(caught.value)
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


@pytest.fixture
def base_ami(direct, image_id):
    """The builder's image as a lock has a base AMI, with another root device."""
    [image] = direct.ec2.describe_images(ImageIds=[image_id])["Images"]
    shot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ami_id = direct.ec2.register_image(
        Name="company-base", Architecture="x86_64", RootDeviceName="/dev/sda1", VirtualizationType="hvm", EnaSupport=True,
        BootMode="uefi-preferred", BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": shot}}],
    )["ImageId"]  # fmt: skip
    direct.ec2.get_waiter("image_available").wait(ImageIds=[ami_id], WaiterConfig={"Delay": 1})
    return look_up(direct, {"id": ami_id, "owner": "self"}, "x86_64")


def test_on_a_base_ami_the_builder_boots_it_and_the_image_boots_as_it_does(
    base_ami, publish, direct, stand_in
):
    published = publish(base=base_ami)
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
    from ingot.aws.bundle import make_bundle

    plan = make_plan(SEEDS)
    assert make_bundle(plan, tmp_path).sha256 == make_bundle(json.loads(json.dumps(plan)), tmp_path).sha256
    assert make_bundle(plan, tmp_path, [None]).sha256 != make_bundle(plan, tmp_path).sha256
