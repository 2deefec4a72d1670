"""The policies of the docs are enough for their commands, and no action of them is too much."""

import pytest
from botocore.exceptions import ClientError

from ingot.aws.ami import as_published
from ingot.aws.failures import DENIED, code_of
from ingot.localcloud.permissions.policy import allowed
from tests.audit.account import actions, document, narrowed, widened
from tests.audit.publisher import Publisher, fails_without


@pytest.fixture(scope="module")
def publisher(account, consoles, builder_stack, tmp_path_factory):
    made = Publisher(account, consoles, tmp_path_factory.mktemp("publisher"))
    made.publishes(account.root_by_proxy)  # the first one's snapshot is the parent of all others
    return made


@pytest.fixture(scope="module")
def needed_by(account, publisher):
    """Which scene asks for which actions; they all work with the whole policy."""
    clients = account.clients_with(document("publish"))
    return {scene.__name__: account.asked(lambda scene=scene: scene(clients)) for scene in publisher.scenes}


def test_the_policy_is_enough(needed_by):
    assert needed_by.keys() == {"publishes", "cleans_up", "repairs", "deploys"}


def test_the_policy_allows_nothing_that_no_scene_asks_for(needed_by):
    asked = set().union(*needed_by.values())
    assert {action for _, action in actions(document("publish"))} == asked


@pytest.mark.parametrize(("number", "action"), actions(document("publish")))
def test_without_one_action_the_publish_fails(number, action, account, publisher, needed_by):
    policy = document("publish")
    scenes = [scene for scene in publisher.scenes if action in needed_by[scene.__name__]]
    fails_without(account, policy, number, action, scenes)


@pytest.fixture(scope="module")
def foreign(account, builder_stack):
    """What others own in the account: a snapshot, an AMI, an instance, a group, without a tag of ours."""
    root = account.root
    snapshot = root.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    pending = root.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    root.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
    root.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1})
    image = root.ec2.register_image(
        Name="foreign",
        VirtualizationType="hvm",
        EnaSupport=True,
        RootDeviceName="/dev/xvda",
        Architecture="x86_64",
        BlockDeviceMappings=mapping(snapshot),
    )["ImageId"]
    root.ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1})
    instance = root.ec2.run_instances(ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1)[
        "Instances"
    ][0]
    outputs = root.cloudformation.describe_stacks(StackName="IngotBuilder")["Stacks"][0]["Outputs"]
    return {
        "snapshot": snapshot,
        "pending": pending,
        "image": image,
        "instance": instance["InstanceId"],
        "group": root.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"],
        **{output["OutputKey"]: output["OutputValue"] for output in outputs},
    }


def mapping(snapshot):
    return [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]


def tagged(kind, **values):
    tags = [{"Key": f"ingot:{key}", "Value": value} for key, value in values.items()]
    return [{"ResourceType": kind, "Tags": tags}]


def launches(ours, foreign, **changed):
    request = {
        "ImageId": ours.ami_id,
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": foreign["SubnetIds"].split(",")[0],
        "LaunchTemplate": {"LaunchTemplateId": foreign["TestLaunchTemplateId"]},
        "TagSpecifications": [*tagged("instance", recipe="web"), *tagged("volume", recipe="web")],
        **changed,
    }
    return {key: value for key, value in request.items() if value is not None}


def attempts(clients, ours, foreign):
    """What a publisher may not do: a sentence and the call."""
    ec2, ebs, ssm = clients.ec2, clients.ebs, clients.ssm
    register = {"Name": "another", "RootDeviceName": "/dev/xvda", "Architecture": "x86_64"}
    tags = [{"Key": "ingot:recipe", "Value": "web"}]
    state = [{"Key": "ingot:state", "Value": "published"}]
    builder = {"LaunchTemplateId": foreign["BuilderLaunchTemplateId"]}
    return {
        "start an untagged snapshot": lambda: ebs.start_snapshot(VolumeSize=1),
        "start a snapshot with other tags": lambda: ebs.start_snapshot(
            VolumeSize=1, Tags=[{"Key": "a", "Value": "b"}]
        ),
        "complete a foreign snapshot": lambda: ebs.complete_snapshot(
            SnapshotId=foreign["pending"], ChangedBlocksCount=0
        ),
        "delete a foreign snapshot": lambda: ec2.delete_snapshot(SnapshotId=foreign["pending"]),
        "register an untagged AMI": lambda: ec2.register_image(
            **register, BlockDeviceMappings=mapping(ours.snapshot_id)
        ),
        "register an AMI on a foreign snapshot": lambda: ec2.register_image(
            **register,
            BlockDeviceMappings=mapping(foreign["snapshot"]),
            TagSpecifications=tagged("image", recipe="web"),
        ),
        "register an AMI with other tags": lambda: ec2.register_image(
            **register,
            BlockDeviceMappings=mapping(ours.snapshot_id),
            TagSpecifications=tagged("image", other="b"),
        ),
        "deregister a foreign AMI": lambda: ec2.deregister_image(ImageId=foreign["image"]),
        "claim a foreign snapshot": lambda: ec2.create_tags(Resources=[foreign["snapshot"]], Tags=tags),
        "claim a foreign AMI": lambda: ec2.create_tags(Resources=[foreign["image"]], Tags=tags),
        "claim a foreign instance": lambda: ec2.create_tags(Resources=[foreign["instance"]], Tags=tags),
        "give a foreign snapshot a state": lambda: ec2.create_tags(
            Resources=[foreign["snapshot"]], Tags=state
        ),
        "rename an image's recipe": lambda: ec2.create_tags(Resources=[ours.ami_id], Tags=tags),
        "launch a foreign AMI": lambda: ec2.run_instances(
            **launches(ours, foreign, ImageId=foreign["image"])
        ),
        "launch without a template": lambda: ec2.run_instances(
            **launches(ours, foreign, LaunchTemplate=None, SecurityGroupIds=[foreign["group"]])
        ),
        "launch by the builder's template": lambda: ec2.run_instances(
            **launches(ours, foreign, LaunchTemplate=builder)
        ),
        "launch into another group": lambda: ec2.run_instances(
            **launches(ours, foreign, SecurityGroupIds=[foreign["group"]])
        ),
        "launch without tags": lambda: ec2.run_instances(**launches(ours, foreign, TagSpecifications=None)),
        "terminate a foreign instance": lambda: ec2.terminate_instances(InstanceIds=[foreign["instance"]]),
        "read a foreign console": lambda: ec2.get_console_output(InstanceId=foreign["instance"]),
        "write another parameter": lambda: ssm.put_parameter(Name="/prod/password", Value="x", Type="String"),
        "read another parameter": lambda: ssm.get_parameter(Name="/prod/password"),
        "read another stack": lambda: clients.cloudformation.get_template(StackName="Payroll"),
        "read blocks": lambda: ebs.list_snapshot_blocks(SnapshotId=ours.snapshot_id),
        "share an AMI": lambda: ec2.modify_image_attribute(
            ImageId=ours.ami_id, LaunchPermission={"Add": [{"Group": "all"}]}
        ),
        "make itself mightier": lambda: ec2.describe_launch_templates(),
    }


@pytest.fixture(scope="module")
def refusals(account, publisher, foreign):
    """Every attempt, tried by a role with the whole policy, and the accesses that were denied."""
    ours = next(
        image
        for image in account.root.ec2.describe_images(Owners=["self"])["Images"]
        if {"Key": "ingot:state", "Value": "published"} in image.get("Tags", [])
    )
    clients = account.clients_with(document("publish"))
    account.denied()
    found = {}
    for what, call in attempts(clients, as_published(ours), foreign).items():
        try:
            call()
        except ClientError as error:
            found[what] = (code_of(error), account.denied())
        else:
            found[what] = ("", account.denied())
    return found


def test_a_publisher_may_not(refusals):
    allowed_all_the_same = [what for what, (code, _) in refusals.items() if code not in DENIED]
    assert not allowed_all_the_same


@pytest.mark.parametrize(("number", "operator", "key"), narrowed(document("publish")))
def test_without_one_condition_something_of_that_would_pass(number, operator, key, refusals):
    wider = widened(document("publish"), number, operator, key)
    passes = [
        f"{what}: {access}"
        for what, (_, denied) in refusals.items()
        for access in denied
        if allowed([wider], access)
    ]
    assert passes, f"{document('publish')['Statement'][number]['Sid']}: no attempt needs {operator} {key}"
