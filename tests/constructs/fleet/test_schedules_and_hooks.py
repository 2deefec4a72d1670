"""Sizes that follow the clock, and clones that wait for a word."""

import pytest
from aws_cdk import Duration
from aws_cdk import aws_autoscaling_hooktargets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from ingot.constructs import CloneFleet, Hook, Schedule
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one

ACTION, HOOK = "AWS::AutoScaling::ScheduledAction", "AWS::AutoScaling::LifecycleHook"


def test_a_size_follows_the_clock(stack, image):
    CloneFleet(
        stack, "Fleet", image=image,
        schedules={"Morning": Schedule("30 7 * * MON-FRI", "Europe/Berlin", min_clones=3, max_clones=6)},
    )  # fmt: skip
    template = Template.from_stack(stack)
    action = one(template, ACTION)["Properties"]
    [group] = template.find_resources("AWS::AutoScaling::AutoScalingGroup")
    assert action == {
        "AutoScalingGroupName": {"Ref": group}, "Recurrence": "30 7 * * MON-FRI",
        "TimeZone": "Europe/Berlin", "MinSize": 3, "MaxSize": 6,
    }  # fmt: skip
    policy = one(template, "AWS::AutoScaling::AutoScalingGroup")["UpdatePolicy"]
    assert policy["AutoScalingScheduledAction"] == {"IgnoreUnmodifiedGroupSizeProperties": True}


def test_of_a_schedule_only_a_size_is_needed(stack, image):
    CloneFleet(stack, "Fleet", image=image, schedules={"Night": Schedule("0 22 * * *", desired_clones=2)})
    action = one(Template.from_stack(stack), ACTION)["Properties"]
    assert (action["TimeZone"], action["DesiredCapacity"]) == ("Etc/UTC", 2)
    assert not {"MinSize", "MaxSize"} & set(action)


def test_a_clone_waits_before_it_ends(stack, image):
    CloneFleet(stack, "Fleet", image=image, hooks={"Drain": Hook("TERMINATING")})
    template = Template.from_stack(stack)
    hook = one(template, HOOK)["Properties"]
    assert (hook["LifecycleTransition"], hook["DefaultResult"], hook["HeartbeatTimeout"]) == (
        "autoscaling:EC2_INSTANCE_TERMINATING", "CONTINUE", 300,
    )  # fmt: skip
    template.resource_count_is("AWS::IAM::Role", 0)


def test_clones_complete_hooks_of_their_own_group_alone(stack, image):
    hook = Hook("LAUNCHING", Duration.minutes(1), "ABANDON", by_clones=True)
    CloneFleet(
        stack, "Fleet", image=image, hooks={"Warm": hook, "Drain": Hook("TERMINATING", by_clones=True)}
    )
    template = Template.from_stack(stack)
    statement = one(template, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["Action"] == "autoscaling:CompleteLifecycleAction"
    assert statement["Resource"] != "*"
    # No circle: the group waits for the launch template, which waits for the role and its own policy.
    [template_resource] = template.find_resources("AWS::EC2::LaunchTemplate").values()
    assert not any("CompleteHooks" in name for name in template_resource.get("DependsOn", []))


def test_a_given_role_may_complete_them(stack, image):
    role = iam.Role(stack, "Given", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    hooks = {"Drain": Hook("TERMINATING", by_clones=True)}
    CloneFleet(stack, "Fleet", image=image, role=role, hooks=hooks)
    policy = one(Template.from_stack(stack), "AWS::IAM::Policy")["Properties"]
    assert policy["Roles"] == [stack.resolve({"Ref": stack.get_logical_id(role.node.default_child)})]


def test_a_queue_is_told(stack, image):
    queue = sqs.Queue(stack, "Queue")
    hooks = {"Drain": Hook("TERMINATING", notify=targets.QueueHook(queue))}
    CloneFleet(stack, "Fleet", image=image, hooks=hooks)
    assert "NotificationTargetARN" in one(Template.from_stack(stack), HOOK)["Properties"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedules": {"a": Schedule("0 1 * * *")}}, "the schedule a sets none of min_clones"),
        (
            {"schedules": {"a": Schedule("0 1 * * *", min_clones=3, max_clones=2)}},
            "the schedule a has the sizes 3, 2: 0 <= min_clones",
        ),
        (
            {"schedules": {"a": Schedule("0 1 * *", min_clones=1)}},
            "'0 1 \\* \\*' is not a cron expression",
        ),
        ({"schedules": {"a": Schedule("0 1 * * *", "Berlin", min_clones=1)}}, "unknown time zone 'Berlin'"),
        (
            {"hooks": {"b": Hook("LAUNCHING", Duration.seconds(5))}},
            "the timeout of the hook b must be from 30 to 7200 s, not 5",
        ),
        (
            {"hooks": {"b": Hook("LAUNCHING", Duration.hours(3))}},
            "must be from 30 to 7200 s, not 10800",
        ),
    ],
)
def test_what_auto_scaling_would_refuse_is_refused(stack, image, options, message):
    with pytest.raises(InputError, match=f"Test/Fleet: .*{message}"):
        CloneFleet(stack, "Fleet", image=image, **options)
