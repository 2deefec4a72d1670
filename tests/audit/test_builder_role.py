"""A builder instance's role, as the stack's template has it, and who launches one:
enough, needed, and no wider.
"""

import datetime as dt
import hashlib
import itertools
import json
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from ingot.aws.builder.publish import Work, publish_by_builder
from ingot.aws.builder.settings import builder_settings
from ingot.aws.publish.settings import PublishSettings, clone_settings
from ingot.aws.session.failures import DENIED, code_of
from ingot.aws.session.stacks import stack_outputs
from ingot.errors import IngotError, PublishError
from ingot.retry import driven_by
from localcloud.core.permissions.policy import allowed
from tests.audit.account import actions, document, narrowed, widened, without
from tests.audit.publisher import fails_without, sweep
from tests.aws.builder_stand_in import MetadataService, StandIn, make_spec
from tests.aws.driven_clock import DrivenClock
from tests.aws.support import line

pytestmark = pytest.mark.slow

IMAGE = "/aws/service/debian/release/12/latest/amd64"
NUMBERS = itertools.count()
LONG = 1e5  # seconds of a driven clock, of which a builder that really works may need many


class Builders:
    """The scenes of a publish by a builder instance whose program runs with its role's credentials."""

    def __init__(self, account, stand_in, service, directory):
        self.account, self.stand_in, self.service, self.directory = account, stand_in, service, directory
        self.outputs = stack_outputs(account.root, "IngotBuilder")
        [role] = [
            resource["PhysicalResourceId"]
            for resource in account.root.cloudformation.describe_stack_resources(StackName="IngotBuilder")[
                "StackResources"
            ]
            if resource["ResourceType"] == "AWS::IAM::Role" and "BuilderRole" in resource["LogicalResourceId"]
        ]
        self.role = role
        [name] = account.iam.list_role_policies(RoleName=role)["PolicyNames"]
        self.role_policy = account.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        self.policy = document(
            "build",
            BUILDER_TEMPLATE=self.outputs["BuilderLaunchTemplateId"],
            BUNDLE_BUCKET=self.outputs["BundleBucketName"],
        )

    def give_role(self, policy):
        """Let the builder's role have this policy from now on."""
        self.account.clients_with(policy, role=self.role)
        given = self.account.credentials(self.account.iam.get_role(RoleName=self.role)["Role"]["Arn"])
        self.service.values["meta-data/iam/security-credentials/builder"] = json.dumps(
            {
                "AccessKeyId": given["AccessKeyId"],
                "SecretAccessKey": given["SecretAccessKey"],
                "Token": given["SessionToken"],
                "Expiration": "2099-01-01T00:00:00Z",
            }
        )

    def settings(self, clients):
        builder = builder_settings(clients, IMAGE, "IngotBuilder")
        clone = clone_settings(clients, "IngotBuilder")
        return builder, PublishSettings(self.directory / "records", clone, pace=0.01)

    def builds(self, clients):
        """What a builder says is read from its log alone: its console is mute, as on EC2
        for the first minutes.
        """
        builder, settings = self.settings(clients)
        builder = replace(builder, boot_limit=LONG, silence_limit=LONG, limit=LONG)
        seeds = ["a", None, str(next(NUMBERS))]
        spec = make_spec(seeds)
        self.stand_in.seeds, self.stand_in.digest = seeds, spec.recipe_digest
        package = self.directory / "package.deb"
        package.write_bytes(spec.recipe_digest.encode())
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        work = Work(spec, self.directory, {digest: package}, {})
        try:
            publish_by_builder(work, clients, builder, settings, self.stand_in)
        finally:
            self.stand_in.finish()

    def finds_no_way_out(self, clients):
        builder, settings = self.settings(clients)
        closed = replace(builder, subnet_ids=(self.isolated,))
        work = Work(make_spec(["a", str(next(NUMBERS))]), self.directory, {}, {})
        with pytest.raises(PublishError, match="no subnet of the builder's stack has a way out"):
            publish_by_builder(work, clients, closed, settings, self.stand_in)

    @property
    def scenes(self):
        return [self.builds, self.finds_no_way_out]


@pytest.fixture(scope="module")
def builders(account, consoles, builder_stack, tmp_path_factory):
    directory = tmp_path_factory.mktemp("builders")
    service = MetadataService(consoles.url)
    stand_in = StandIn(directory / "machines", account.root, service)
    builders = Builders(account, stand_in, service, directory)
    vpc = account.root.ec2.create_vpc(CidrBlock="172.30.0.0/24")["Vpc"]["VpcId"]
    subnet = account.root.ec2.create_subnet(VpcId=vpc, CidrBlock="172.30.0.0/25")["Subnet"]
    builders.isolated = subnet["SubnetId"]
    public_parameter(base_image(account.root))

    def said(instance_id):
        if instance_id == stand_in.instance_id:
            return ""
        result = {"recipe": "web", "digest": stand_in.digest, "ok": True}
        return line("ingot-test", result | {"results": [{"name": "the app answers", "ok": True}]})

    consoles.console = said
    with pytest.MonkeyPatch.context() as patch:
        stand_in.install(patch)
        yield builders
        stand_in.finish()
        service.close()


def base_image(root):
    """The AMI of a distribution: none of Ingot's tags."""
    shot = root.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    root.ebs.complete_snapshot(SnapshotId=shot, ChangedBlocksCount=0)
    root.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[shot], WaiterConfig={"Delay": 0.1})
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": shot}}
    ami_id = root.ec2.register_image(
        Name="debian", Architecture="x86_64", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping],
        VirtualizationType="hvm", EnaSupport=True, BootMode="uefi",
    )["ImageId"]  # fmt: skip
    root.ec2.get_waiter("image_available").wait(ImageIds=[ami_id], WaiterConfig={"Delay": 0.1})
    return ami_id


def public_parameter(ami_id):
    """A parameter of AWS's own: nobody can put one."""
    from moto.ssm.models import Parameter, ssm_backends

    from localcloud.core.context import ACCOUNT

    backend = ssm_backends[ACCOUNT]["us-east-1"]
    backend._parameters[IMAGE].append(
        Parameter(
            account_id=ACCOUNT,
            name=IMAGE,
            value=ami_id,
            parameter_type="String",
            description="",
            allowed_pattern=None,
            keyid=None,
            last_modified_date=int(dt.datetime.now(dt.UTC).timestamp()),
            version=1,
            data_type="text",
        )
    )


@pytest.fixture(scope="module")
def whole(account, builders):
    """Clients of a publisher with both policies; the builder has its whole role."""
    builders.give_role(builders.role_policy)
    return account.clients_with(builders.policy, document("publish"))


@pytest.fixture(scope="module")
def needed_by(account, builders, whole):
    found = {}
    for scene in builders.scenes:
        account.guard.asked.clear()
        scene(whole)
        found[scene.__name__] = [(arn, access.action) for arn, access, _ in account.guard.asked]
    return found


def test_builder_and_publisher_have_all_that_they_need(needed_by, builders):
    asked = [pair for pairs in needed_by.values() for pair in pairs]
    of_builder = {action for arn, action in asked if builders.role in arn}
    assert of_builder == {action for _, action in actions(builders.role_policy)}
    of_publisher = {action for arn, action in asked if builders.role not in arn}
    assert of_publisher >= {action for _, action in actions(builders.policy)}


BUILD = actions(document("build"))


@pytest.mark.parametrize(("number", "action"), BUILD)
def test_without_one_action_no_builder_builds(number, action, account, builders, needed_by, whole):
    builders.give_role(builders.role_policy)
    scenes = [s for s in builders.scenes if action in {asked for _, asked in needed_by[s.__name__]}]
    fails_without(account, builders.policy, number, action, scenes, document("publish"))


ROLE_ACTIONS = [
    "s3:GetObject",
    "s3:PutObject",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "ebs:PutSnapshotBlock",
]


@pytest.mark.parametrize("action", ROLE_ACTIONS)
def test_without_one_action_a_builder_does_not_get_done(action, account, builders, needed_by):
    [number] = [number for number, one in actions(builders.role_policy) if one == action]
    clients = account.clients_with(builders.policy, document("publish"))
    builders.give_role(without(builders.role_policy, number, action))
    account.denied()
    with driven_by(DrivenClock()), pytest.raises(IngotError):
        builders.builds(clients)
    assert action in {access.action for access in account.denied()}
    builders.give_role(builders.role_policy)
    sweep(account)


def test_each_action_of_the_role_is_taken_away_once(builders):
    assert sorted(action for _, action in actions(builders.role_policy)) == sorted(ROLE_ACTIONS)


def attempts_of_a_builder(clients, builders, foreign):
    """What whoever broke into a builder instance may not do."""
    ec2, ebs, bucket = clients.ec2, clients.ebs, builders.outputs["BundleBucketName"]
    block = {
        "BlockIndex": 0,
        "BlockData": bytes(524288),
        "DataLength": 524288,
        "Checksum": "x",
        "ChecksumAlgorithm": "SHA256",
    }
    test_clone = {"LaunchTemplateId": builders.outputs["TestLaunchTemplateId"]}
    return {
        "write into a foreign snapshot": lambda: ebs.put_snapshot_block(SnapshotId=foreign, **block),
        "read a snapshot": lambda: ebs.list_snapshot_blocks(SnapshotId=foreign),
        "start a snapshot": lambda: ebs.start_snapshot(VolumeSize=1),
        "delete a snapshot": lambda: ec2.delete_snapshot(SnapshotId=foreign),
        "name an AMI": lambda: clients.ssm.put_parameter(Name="/ingot/web/0", Value="ami-1", Type="String"),
        "start a machine": lambda: ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate=test_clone),
        "tag": lambda: ec2.create_tags(Resources=[foreign], Tags=[{"Key": "ingot:recipe", "Value": "web"}]),
        "look around": lambda: ec2.describe_instances(),
        "replace a bundle": lambda: clients.s3.put_object(Bucket=bucket, Key="bundles/x", Body=b"x"),
        "read other results": lambda: clients.s3.get_object(Bucket=bucket, Key="results/x"),
        "list the bucket": lambda: clients.s3.list_objects_v2(Bucket=bucket),
        "read another bucket": lambda: clients.s3.get_object(Bucket="payroll", Key="x"),
        "write another log": lambda: clients.logs.create_log_stream(logGroupName="/prod", logStreamName="x"),
    }


def test_who_broke_into_a_builder_may_not(account, builders, whole):
    root = account.root.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    clients = account.clients_with(builders.role_policy, role=builders.role)
    account.denied()
    passed, denied = [], []
    for what, call in attempts_of_a_builder(clients, builders, root).items():
        try:
            call()
        except ClientError as error:
            if code_of(error) not in DENIED:
                passed.append(f"{what}: {error}")
        else:
            passed.append(what)
        denied += account.denied()
    assert not passed
    for number, operator, key in narrowed(builders.role_policy):
        wider = widened(builders.role_policy, number, operator, key)
        assert [access for access in denied if allowed([wider], access)], (operator, key)
    account.root.ec2.delete_snapshot(SnapshotId=root)


def test_who_launches_builders_may_not(account, builders, whole):
    """Conditions of the policy: by the builder's template alone, no other role, no other tag."""
    root, outputs = account.root, builders.outputs
    base = root.ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    foreign = root.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ours = root.ebs.start_snapshot(VolumeSize=1, Tags=[{"Key": "ingot:recipe", "Value": "web"}])["SnapshotId"]
    own_tags = [{"Key": "ingot:recipe", "Value": "web"}]
    request = {
        "MinCount": 1, "MaxCount": 1, "ImageId": base, "SubnetId": outputs["SubnetIds"].split(",")[0],
        "TagSpecifications": [{"ResourceType": kind, "Tags": own_tags} for kind in ("instance", "volume")],
    }  # fmt: skip
    other = root.ec2.create_launch_template(
        LaunchTemplateName="other", LaunchTemplateData={"InstanceType": "t3.small"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    clients = account.clients_with(builders.policy, document("publish"))
    digest = [{"Key": "ingot:root-digest", "Value": "0"}]
    denied = []
    for call in (
        lambda: clients.ec2.run_instances(
            **request, LaunchTemplate={"LaunchTemplateId": outputs["TestLaunchTemplateId"]}
        ),
        lambda: clients.ec2.run_instances(**request, LaunchTemplate={"LaunchTemplateId": other}),
        lambda: clients.ec2.create_tags(Resources=[foreign], Tags=digest),
        lambda: clients.ec2.create_tags(Resources=[ours], Tags=own_tags),
        lambda: clients.s3.get_object(Bucket="payroll", Key="x"),
        lambda: clients.logs.get_log_events(logGroupName="/prod", logStreamName="x"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert code_of(caught.value) in DENIED
        denied += account.denied()
    both = [document("publish")]
    unexplained = []
    for number, operator, key in narrowed(builders.policy):
        wider = widened(builders.policy, number, operator, key)
        if key != "iam:PassedToService" and not [a for a in denied if allowed([wider, *both], a)]:
            unexplained.append((number, operator, key))
    assert not unexplained  # iam:PassedToService: nothing here hands a role to another service
