"""A local cloud without machines in this process, and a proxy before it that can fail."""

from __future__ import annotations

import boto3
import pytest

from ingot.aws.builder.publish import Work, publish_by_builder
from ingot.aws.builder.settings import BuilderSettings
from ingot.aws.publish.settings import CloneSettings, PublishSettings
from ingot.aws.session.clients import Clients
from ingot.retry import driven_by
from ingot.spec import BaseAmiSpec
from tests.audit.calls import refuse_what_the_model_lacks
from tests.aws.builder_stand_in import SEEDS, MetadataService, StandIn, make_spec
from tests.aws.driven_clock import DrivenClock
from tests.aws.fault_proxy import FaultProxy
from tests.aws.support import holdings, line, result_line

KEYS = {"aws_access_key_id": "INGOTTEST", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def running_server(tmp_path_factory):
    """The local cloud's control plane. Clones have no machines: tests say what their consoles hold."""
    from localcloud import server

    with pytest.MonkeyPatch.context() as patch:
        # 1,500 managed policies that nothing here attaches would be read again for each test.
        patch.setitem(server.MOTO_ENVIRONMENT, "MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
        running = server.CloudServer(
            tmp_path_factory.mktemp("cloud"),
            0,
            log=lambda _line: None,
            machines=False,
            access_key=KEYS["aws_access_key_id"],
        )
        running.start()
        yield running
        running.stop()
    # moto keeps its state, policies included, in the process: the next module's cloud must find it whole.
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.MOTO_ENVIRONMENT.items():
            patch.setenv(name, value)
        running.reset()


@pytest.fixture(scope="module")
def running_cloud(running_server):
    return running_server.context


@pytest.fixture(scope="module")
def running_proxy(running_cloud):
    proxy = FaultProxy(f"http://127.0.0.1:{running_cloud.port}")
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def session_clients(running_cloud):
    return Clients(boto3.Session(**KEYS), endpoint_url=f"http://127.0.0.1:{running_cloud.port}")


@pytest.fixture(scope="module")
def session_proxied(running_proxy):
    session = boto3.Session(**KEYS)
    refuse_what_the_model_lacks(session)
    return Clients(session, endpoint_url=running_proxy.url)


@pytest.fixture
def cloud(running_server):
    """The local cloud with nothing in it."""
    running_server.reset()
    return running_server.context


@pytest.fixture
def blocks_of(cloud):
    """A function that returns a snapshot's size and the file of each of its blocks."""
    return cloud.hooks.blocks_of


@pytest.fixture
def proxy(cloud, running_proxy):
    running_proxy.reset()
    yield running_proxy
    assert running_proxy.never_shown == []


@pytest.fixture
def direct(cloud, session_clients):
    """Clients that no fault reaches: to look at what is there."""
    session_clients.recent.forget_everything()
    return session_clients


@pytest.fixture
def driven_clock():
    """Nothing waits for real: what AWS may not know yet is asked for again for three minutes."""
    with driven_by(clock := DrivenClock()):
        yield clock


@pytest.fixture
def clients(proxy, session_proxied):
    # What an earlier test made is not merely not known yet: its cloud is gone.
    session_proxied.recent.forget_everything()
    return session_proxied


@pytest.fixture
def clone_settings(direct):
    # As ingot/constructs/machines.py has it: the root volume, with neither size nor snapshot.
    root = {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3"}
    data = {"InstanceType": "t3.small", "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": root}]}
    template = direct.ec2.create_launch_template(LaunchTemplateName="test-clone", LaunchTemplateData=data)[
        "LaunchTemplate"
    ]["LaunchTemplateId"]
    subnets = [subnet["SubnetId"] for subnet in direct.ec2.describe_subnets()["Subnets"]][:2]
    return CloneSettings(template, tuple(subnets), limit=600.0)


@pytest.fixture
def known():
    """The manifests that the local store has, by recipe digest."""
    return {}


@pytest.fixture
def settings(tmp_path, clone_settings, known):
    return PublishSettings(tmp_path / "records", clone_settings, manifest_of=known.get, pace=0.01)


@pytest.fixture
def passing(proxy, known):
    """Make clones of an image pass their tests, and its manifest known."""

    def make(image):
        known[image.digest] = image.manifest
        proxy.console = lambda _instance: "booting\r\n" + result_line(image) + "\r\n"
        return image

    return make


@pytest.fixture
def service(proxy):
    service = MetadataService(proxy.url)
    yield service
    service.close()


@pytest.fixture
def stand_in(tmp_path, direct, service, proxy, monkeypatch):
    stand_in = StandIn(tmp_path / "builders", direct, service)
    stand_in.install(monkeypatch)

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
    image_id = direct.ec2.register_image(
        Name="builder", Architecture="x86_64", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping],
        VirtualizationType="hvm", EnaSupport=True, BootMode="uefi",
    )["ImageId"]  # fmt: skip
    direct.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    return image_id


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
        template,
        clone_settings.subnet_ids,
        "bundles",
        "builder",
        image_id,
        boot_limit=600,
        silence_limit=600,
        limit=600,
    )


@pytest.fixture
def base(direct, image_id):
    """What the account holds before a publish."""
    return holdings(direct)


@pytest.fixture
def publish(tmp_path, clients, builder, clone_settings, stand_in, base):
    manifests = {}

    def run(seeds=SEEDS, *, base=None, waits=False, **changed):
        spec = make_spec(seeds, base=None if base is None else {"us-east-1": BaseAmiSpec(**base)})
        stand_in.seeds, stand_in.digest = seeds, spec.recipe_digest
        settings = PublishSettings(
            tmp_path / "records", clone_settings, manifest_of=manifests.get, pace=1.0 if waits else 0.01,
            keep_manifest=lambda manifest: manifests.update({manifest["recipe_digest"]: manifest}),
        )  # fmt: skip
        chosen = BuilderSettings(**{**builder.__dict__, **changed})
        return publish_by_builder(Work(spec, tmp_path, {}, {}), clients, chosen, settings, stand_in)

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
