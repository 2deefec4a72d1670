import pytest

from ingot.plan.infrastructure.fold import Folded
from ingot.plan.infrastructure.stacks import StackPlan
from ingot.plan.rollout import rollouts

FOLDED = (
    Folded("image", "web", "1" * 64, "2" * 64, ("Resources.Clone.Properties.LaunchTemplateData.ImageId",)),
)
BY_TEMPLATE = {"LaunchTemplate": {"LaunchTemplateId": {"Ref": "Clone"}}}
MIXED = {
    "MixedInstancesPolicy": {
        "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "Clone"}}}
    }
}


def stack(policy, *, properties=BY_TEMPLATE, size=("4", "8"), change="changed", folded=FOLDED, resources=()):
    group = {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "Metadata": {"aws:cdk:path": "Fleet/Group/ASG"},
        "Properties": {"MinSize": size[0], "MaxSize": size[1], **properties},
        "UpdatePolicy": policy,
    }
    template = {"Resources": {"Group": group, "Clone": {"Type": "AWS::EC2::LaunchTemplate"}}}
    return StackPlan("Fleet", None, "aws://1/r", change, folded, resources, template=template)


def refresh(**preferences):
    return {"AutoScalingInstanceRefresh": {"Strategy": "Rolling", "Preferences": preferences}}


def steps(policy, **more):
    [rollout] = rollouts(stack(policy, **more))
    return list(rollout.steps)


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        ({}, "ends up to 1 at a time and starts as many: 3 to 4 run meanwhile"),
        ({"MinHealthyPercentage": 50}, "ends up to 2 at a time and starts as many: 2 to 4 run meanwhile"),
        (
            {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200},
            "starts up to 4 at a time before old ones end: 4 to 8 run meanwhile",
        ),
        (
            {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 110},
            "starts up to 1 at a time before old ones end: 4 to 5 run meanwhile",
        ),
    ],
)
def test_how_many_at_a_time(preferences, expected):
    assert steps(refresh(**preferences)) == ["instance refresh replaces 4 clones", expected]


def test_checkpoints_alarms_and_bake_time():
    found = steps(
        refresh(
            CheckpointPercentages=[50, 100],
            CheckpointDelay=300,
            InstanceWarmup=60,
            BakeTime=600,
            AlarmSpecification={"Alarms": [{"Ref": "Errors"}, "by-name"]},
        )
    )
    assert found[2:] == [
        "a new clone counts when it is healthy, at the earliest 60 s after its launch",
        "pauses 300 s at 50 %, 100 %",
        "an alarm stops it, and CloudFormation goes back: Errors, by-name",
        "alarms are watched for another 600 s at the end",
    ]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            {"AutoScalingRollingUpdate": {"MaxBatchSize": 2, "MinInstancesInService": 1}},
            "replaces 2 at a time, 1 stay in service",
        ),
        ({"AutoScalingReplacingUpdate": {"WillReplace": True}}, "replaces the whole group by a new one"),
        ({}, "there is no update policy: clones that run stay as they are"),
        (
            {"AutoScalingInstanceRefresh": {"Strategy": "ReplaceRootVolume"}},
            "instance refresh replaces the root volume of 4 clones",
        ),
    ],
)
def test_other_policies(policy, expected):
    assert steps(policy)[0].startswith(expected)


def test_mixed_instances_refer_to_the_launch_template_elsewhere():
    assert steps(refresh(), properties=MIXED)[0] == "instance refresh replaces 4 clones"


def test_the_running_number_goes_before_the_templates():
    [rollout] = rollouts(stack(refresh()), lambda stack, group: {("Fleet", "Group"): 7}.get((stack, group)))
    assert (rollout.running, rollout.instances) == (7, 7)


def test_a_size_that_is_a_reference_counts_as_unknown():
    [rollout] = rollouts(stack(refresh(), size=({"Ref": "Min"}, {"Ref": "Max"})))
    assert (rollout.minimum, rollout.maximum) == (0, 0)


def test_a_group_that_nothing_reaches_has_no_rollout():
    assert rollouts(stack(refresh(), folded=())) == []


def test_a_new_group_only_starts():
    [rollout] = rollouts(stack(refresh(), change="new"))
    assert rollout.why == ("the group is new",)
    assert rollout.steps == ("starts 4 clones",)
