"""Who only looks: `ingot status` and `ingot verify`."""

import pytest

from ingot.aws.verify.image import verify_image
from ingot.fleet.alarms import alarms_of
from ingot.fleet.status import fleet_status
from ingot.fleet.verify import VerifyOptions, verify_fleet
from tests.audit.account import actions, document
from tests.audit.publisher import Publisher, fails_without, quiet
from tests.aws.support import inventory_line
from tests.fleet.support import NO_REFRESH

POLICY = document("look")
ALARM = {
    "AlarmName": "errors",
    "Namespace": "AWS/ApplicationELB",
    "MetricName": "HTTPCode_ELB_5XX_Count",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}


@pytest.fixture(scope="module")
def visitor(account, consoles, builder_stack, tmp_path_factory):
    """A published image, a group with one clone of it, and what a visitor does."""
    publisher = Publisher(account, consoles, tmp_path_factory.mktemp("publisher"))
    published = publisher.publishes(account.root_by_proxy)
    consoles.answers["DescribeInstanceRefreshes"] = NO_REFRESH % ""
    image = publisher.newest
    consoles.console = lambda _instance: inventory_line(image)
    root = account.root
    instance_tags = [{"Key": "ingot:recipe", "Value": "web"}]
    specification = [{"ResourceType": "instance", "Tags": instance_tags}]
    data = {"ImageId": published.ami_id, "InstanceType": "t3.small", "TagSpecifications": specification}
    root.ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=data)
    subnet = root.ec2.describe_subnets()["Subnets"][0]
    group = root.elbv2.create_target_group(Name="fleet", Protocol="HTTP", Port=80, VpcId=subnet["VpcId"])
    root.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=1,
        MaxSize=1,
        VPCZoneIdentifier=subnet["SubnetId"],
        LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "$Latest"},
        TargetGroupARNs=[group["TargetGroups"][0]["TargetGroupArn"]],
    )
    deploy_outputs(
        root,
        {
            "Url": "http://x",
            "AutoScalingGroupName": "fleet",
            "RecipeName": "web",
            "RecipeDigest": image.digest,
        },
    )
    return Visitor(publisher, published)


def deploy_outputs(root, outputs):
    import json

    template = {
        "Resources": {
            "P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}},
            "Errors": {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM},
        },
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    root.cloudformation.create_stack(StackName="IngotFleet", TemplateBody=json.dumps(template))
    waiter = root.cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName="IngotFleet", WaiterConfig={"Delay": 1})


class Visitor:
    def __init__(self, publisher, published):
        self.known, self.published = publisher.known, published

    def asks_for_the_status(self, clients):
        assert len(fleet_status(clients, "IngotFleet").clones) == 1

    def looks_at_the_alarms(self, clients):
        [alarm] = alarms_of(clients, "IngotFleet")
        assert (alarm.name, alarm.fires) == ("errors", False)

    def verifies_the_fleet(self, clients):
        options = VerifyOptions(limit=0.0)
        verdict = verify_fleet(
            clients, "IngotFleet", manifest_of=self.known.get, progress=quiet, options=options
        )
        assert verdict.ok, verdict

    def verifies_the_image(self, clients):
        from ingot.aws.verify.image import ami_of

        ami_id = ami_of(clients, self.published.recipe, self.published.digest)
        assert verify_image(clients, ami_id, manifest_of=self.known.get, progress=quiet).ok

    @property
    def scenes(self):
        return [
            self.asks_for_the_status,
            self.looks_at_the_alarms,
            self.verifies_the_fleet,
            self.verifies_the_image,
        ]


@pytest.fixture(scope="module")
def needed_by(account, visitor):
    clients = account.clients_with(POLICY)
    return {scene.__name__: account.asked(lambda scene=scene: scene(clients)) for scene in visitor.scenes}


def test_the_policy_is_enough_and_nothing_in_it_is_unused(needed_by):
    assert {action for _, action in actions(POLICY)} == set().union(*needed_by.values())


@pytest.mark.parametrize(("number", "action"), actions(POLICY))
def test_without_one_action_something_cannot_be_seen(number, action, account, visitor, needed_by):
    scenes = [scene for scene in visitor.scenes if action in needed_by[scene.__name__]]
    fails_without(account, POLICY, number, action, scenes)


def test_who_looks_changes_nothing():
    assert not [
        action
        for _, action in actions(POLICY)
        if not action.split(":")[1].startswith(("Describe", "Get", "List"))
    ]
