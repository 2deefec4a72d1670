"""The policies of the docs are enough for their commands, and no action of them is too much."""

import pytest
from botocore.exceptions import ClientError

from ingot.aws.registry.published import as_published
from ingot.aws.session.failures import DENIED, code_of
from localcloud.core.permissions.policy import allowed
from tests.audit.account import actions, document, narrowed, widened
from tests.audit.attempts import attempts, mapping
from tests.audit.publisher import Publisher, fails_without


@pytest.fixture(scope="module")
def publisher(account, consoles, builder_stack, tmp_path_factory):
    publisher = Publisher(account, consoles, tmp_path_factory.mktemp("publisher"))
    publisher.publishes(account.root_by_proxy)  # the first one's snapshot is the parent of all others
    return publisher


@pytest.fixture(scope="module")
def needed_by(account, publisher):
    """Which scene asks for which actions; they all work with the whole policy."""
    clients = account.clients_with(document("publish"))
    return {scene.__name__: account.asked(lambda scene=scene: scene(clients)) for scene in publisher.scenes}


def test_the_policy_is_enough(needed_by):
    assert needed_by.keys() == {"publishes", "cleans_up", "repairs", "takes_back", "deploys"}


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
