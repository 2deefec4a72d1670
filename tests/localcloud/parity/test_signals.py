"""Signals that a resource waits for, and rules about parameters.

Sources: "CreationPolicy attribute", "Rules section" and "Rule-specific intrinsic functions", CloudFormation
template reference; SignalResource, API reference. The words of refusals are those that CloudFormation
answered with in public reports.
"""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import (
    create,
    events,
    parameter,
    settled,
    template,
    update,
    value_of,
)


def waits(count: int = 1, timeout: str = "PT1M", **more: Any) -> dict[str, Any]:
    policy = {"ResourceSignal": {"Count": count, "Timeout": timeout}, **more}
    return {"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": policy}


def begin(cloud: LocalCloud, name: str, resources: dict[str, Any]) -> Any:
    """Create a stack and return its client when ``W`` waits."""
    client = cloud.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=template(resources))
    end = time.monotonic() + 60
    while not any(who == "W" and status == "CREATE_IN_PROGRESS" for who, status, _ in events(cloud, name)):
        assert time.monotonic() < end
    return client


def signal(client: Any, stack: str, unique_id: str, status: str = "SUCCESS", resource: str = "W") -> None:
    client.signal_resource(StackName=stack, LogicalResourceId=resource, UniqueId=unique_id, Status=status)


def reasons(cloud: LocalCloud, stack: str) -> list[str]:
    return [reason for who, _, reason in events(cloud, stack) if who == "W"]


def test_what_needs_a_resource_waits_for_its_signals(local_cloud: LocalCloud) -> None:
    after = parameter("/signals/after", "1", DependsOn="W")
    client = begin(local_cloud, "two", {"W": waits(2), "P": after})
    signal(client, "two", "i-1")
    with pytest.raises(ClientError, match="Signal with ID i-1 for resource W already exists"):
        signal(client, "two", "i-1")
    assert client.describe_stacks(StackName="two")["Stacks"][0]["StackStatus"] == "CREATE_IN_PROGRESS"
    assert value_of(local_cloud, "/signals/after") is None
    signal(client, "two", "i-2")
    assert settled(local_cloud, "two")["StackStatus"] == "CREATE_COMPLETE"
    assert value_of(local_cloud, "/signals/after") == "1"
    received = [said for said in reasons(local_cloud, "two") if said.startswith("Received")]
    assert received == [f"Received SUCCESS signal with UniqueId {name}" for name in ("i-1", "i-2")]
    with pytest.raises(ClientError, match="is in CREATE_COMPLETE state and cannot be signaled"):
        signal(client, "two", "i-3")


def test_signals_that_do_not_come_fail_the_stack(local_cloud: LocalCloud) -> None:
    begun = time.monotonic()
    stack = create(local_cloud, "none", template({"W": waits(2, "PT1S")}))
    assert time.monotonic() - begun >= 1
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Failed to receive 2 resource signal(s) within the specified duration" in reasons(
        local_cloud, "none"
    )


def test_a_failure_ends_the_wait(local_cloud: LocalCloud) -> None:
    client = begin(local_cloud, "failed", {"W": waits(3, "PT5M")})
    signal(client, "failed", "i-1")
    signal(client, "failed", "i-1", "FAILURE")
    assert settled(local_cloud, "failed")["StackStatus"] == "ROLLBACK_COMPLETE"
    wanted = (
        "Received 1 FAILURE signal(s) out of 3. Unable to satisfy 100% MinSuccessfulInstancesPercent "
        "requirement"
    )
    assert wanted in reasons(local_cloud, "failed")


def test_a_share_of_the_instances_may_fail(local_cloud: LocalCloud) -> None:
    share = {"AutoScalingCreationPolicy": {"MinSuccessfulInstancesPercent": 50}}
    client = begin(local_cloud, "half", {"W": waits(2, "PT5M", **share)})
    signal(client, "half", "i-1", "FAILURE")
    signal(client, "half", "i-2")
    assert settled(local_cloud, "half")["StackStatus"] == "CREATE_COMPLETE"


def test_a_group_waits_for_its_instances(local_cloud: LocalCloud) -> None:
    """The usual case: each instance signals with its id; without signals the group goes with the stack."""
    ec2 = local_cloud.client("ec2")
    [subnet, *_] = ec2.describe_subnets()["Subnets"]
    answer = ec2.create_launch_template(
        LaunchTemplateName="signals",
        LaunchTemplateData={"ImageId": local_cloud.image("signals"), "InstanceType": "t3.small"},
    )
    used = {"LaunchTemplateId": answer["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}
    group = {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "CreationPolicy": {"ResourceSignal": {"Count": 1, "Timeout": "PT1S"}},
        "Properties": {
            "AutoScalingGroupName": "signalled", "MinSize": "0", "MaxSize": "0",
            "LaunchTemplate": used, "VPCZoneIdentifier": [subnet["SubnetId"]],
        },
    }  # fmt: skip
    stack = create(local_cloud, "silent", template({"W": group}))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    groups = local_cloud.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert groups == []
    group["CreationPolicy"] = {"ResourceSignal": {"Timeout": "PT5M"}}
    client = begin(local_cloud, "loud", {"W": group})
    signal(client, "loud", "i-1")
    assert settled(local_cloud, "loud")["StackStatus"] == "CREATE_COMPLETE"
    client.delete_stack(StackName="loud")


def test_only_what_waits_is_signalled(local_cloud: LocalCloud) -> None:
    client = begin(
        local_cloud, "other", {"P": parameter("/signals/p", "1"), "W": waits() | {"DependsOn": "P"}}
    )
    with pytest.raises(ClientError, match="Resource P is in CREATE_COMPLETE state and cannot be signaled"):
        signal(client, "other", "i-1", resource="P")
    with pytest.raises(ClientError, match="Resource X does not exist for stack other"):
        signal(client, "other", "i-1", resource="X")
    with pytest.raises(ClientError, match=r"enum value set: \[FAILURE, SUCCESS\]"):
        signal(client, "other", "i-1", "DONE")
    signal(client, "other", "i-1")
    assert settled(local_cloud, "other")["StackStatus"] == "CREATE_COMPLETE"


def test_an_update_that_is_cancelled_waits_no_longer(local_cloud: LocalCloud) -> None:
    create(local_cloud, "cancelled", template({"P": parameter("/signals/c", "1")}))
    client = local_cloud.client("cloudformation")
    more = {"P": parameter("/signals/c", "2"), "W": waits(1, "PT1H") | {"DependsOn": "P"}}
    client.update_stack(StackName="cancelled", TemplateBody=template(more))
    end = time.monotonic() + 60
    while ("W", "CREATE_IN_PROGRESS", "") not in events(local_cloud, "cancelled"):
        assert time.monotonic() < end
    client.cancel_update_stack(StackName="cancelled")
    assert settled(local_cloud, "cancelled")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Resource creation cancelled" in reasons(local_cloud, "cancelled")
    assert value_of(local_cloud, "/signals/c") == "1"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (parameter("/p", "1") | {"CreationPolicy": {}}, "CreationPolicy is not supported"),
        (waits(timeout="15 minutes"), "ISO 8601"),
        (waits(timeout="PT"), "ISO 8601"),
        (waits(timeout="PT13H"), "longer than 12 hours"),
        (waits(Resources={}), "Invalid CreationPolicy"),
        ({"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": {"ResourceSignal": {"Count": "x"}}},
         "Invalid CreationPolicy"),
    ],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(local_cloud: LocalCloud, node: Any, message: str) -> None:
    client = local_cloud.client("cloudformation")
    with pytest.raises(ClientError, match=message) as caught:
        client.create_stack(StackName="refused", TemplateBody=template({"W": node}))
    assert caught.value.response["Error"]["Code"] == "ValidationError"


# -- rules

TIERS = {"Fn::Contains": [["small", "large"], {"Ref": "Tier"}]}


def ruled(assertion: Any, condition: Any = None, **parameters: Any) -> str:
    rule = {"Assertions": [{"Assert": assertion, "AssertDescription": "a tier that we have"}]}
    if condition is not None:
        rule["RuleCondition"] = condition
    slots = {"Tier": {"Type": "String", "Default": "small"}, **parameters}
    named = parameter({"Fn::Sub": "/ruled/${AWS::StackName}"}, {"Ref": "Tier"})
    return template({"P": named}, Rules={"R": rule}, Parameters=slots)


def given(**values: str) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def test_an_assertion_holds_or_nothing_is_done(local_cloud: LocalCloud) -> None:
    client = local_cloud.client("cloudformation")
    with pytest.raises(ClientError, match="a tier that we have") as caught:
        create(local_cloud, "ruled", ruled(TIERS), Parameters=given(Tier="huge"))
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_stacks(StackName="ruled")
    assert create(local_cloud, "ruled", ruled(TIERS))["StackStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="a tier that we have"):
        update(local_cloud, "ruled", ruled(TIERS), Parameters=given(Tier="huge"))
    with pytest.raises(ClientError, match="a tier that we have"):
        client.create_change_set(
            StackName="ruled", ChangeSetName="c", TemplateBody=ruled(TIERS), Parameters=given(Tier="huge")
        )
    assert value_of(local_cloud, "/ruled/ruled") == "small"


REGION = {"Ref": "AWS::Region"}


@pytest.mark.parametrize(
    ("assertion", "condition", "holds"),
    [
        (TIERS, {"Fn::Equals": [REGION, "us-east-1"]}, False),
        (TIERS, {"Fn::Equals": [REGION, "eu-west-1"]}, True),
        ({"Fn::Not": [TIERS]}, None, True),
        ({"Fn::And": [{"Fn::Equals": ["a", "a"]}, TIERS]}, None, False),
        ({"Fn::Or": [{"Fn::Equals": ["a", "a"]}, TIERS]}, None, True),
        ({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b", "c"]]}, None, True),
        ({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "c"]]}, None, False),
        ({"Fn::EachMemberEquals": [{"Ref": "Zones"}, "a"]}, None, False),
        ({"Fn::EachMemberEquals": [["a", "a"], "a"]}, None, True),
    ],
)  # fmt: skip
def test_rules_about_parameters(local_cloud: LocalCloud, assertion: Any, condition: Any, holds: bool) -> None:
    zones = {"Zones": {"Type": "CommaDelimitedList", "Default": "a,b"}}
    client = local_cloud.client("cloudformation")
    asked = {
        "StackName": "rules", "ChangeSetName": "c", "ChangeSetType": "CREATE",
        "Parameters": given(Tier="huge"), "TemplateBody": ruled(assertion, condition, **zones),
    }  # fmt: skip
    if holds:
        client.create_change_set(**asked)
        client.delete_stack(StackName="rules")
    else:
        with pytest.raises(ClientError, match="a tier that we have"):
            client.create_change_set(**asked)


def test_a_rule_knows_the_vpc_of_a_subnet(local_cloud: LocalCloud) -> None:
    """ "Fn::ValueOf": the attributes of what a parameter names, for each member of a list."""
    ec2, client = local_cloud.client("ec2"), local_cloud.client("cloudformation")
    other = ec2.create_vpc(CidrBlock="10.90.0.0/16")["Vpc"]["VpcId"]
    subnets = [subnet for subnet in ec2.describe_subnets()["Subnets"] if subnet["VpcId"] != other][:2]
    body = ruled(
        {"Fn::EachMemberEquals": [{"Fn::ValueOf": ["Subnets", "VpcId"]}, {"Ref": "Vpc"}]},
        Subnets={"Type": "List<AWS::EC2::Subnet::Id>"}, Vpc={"Type": "AWS::EC2::VPC::Id"},
    )  # fmt: skip
    ids = ",".join(subnet["SubnetId"] for subnet in subnets)
    with pytest.raises(ClientError, match="a tier that we have"):
        client.create_stack(StackName="of", TemplateBody=body, Parameters=given(Subnets=ids, Vpc=other))
    same = given(Subnets=ids, Vpc=subnets[0]["VpcId"])
    assert create(local_cloud, "of-vpc", body, Parameters=same)["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"R": {}}, "must contain a list of Assertions"),
        ({"R": {"Assertions": [{"AssertDescription": "x"}]}}, "must have an Assert"),
        ({"R": {"Assertions": [], "Condition": "C"}}, "Invalid key 'Condition'"),
        ({"R": {"Assertions": [{"Assert": {"Fn::If": ["C", 1, 2]}}]}}, "unsupported function: Fn::If"),
        ({"R": {"Assertions": [{"Assert": {"Condition": "C"}}]}}, "unsupported function: Condition"),
        ({"R": {"Assertions": [{"Assert": {"Fn::Equals": [{"Ref": "P"}, 1]}}]}}, "Cannot reference"),
        ({"R": {"Assertions": [{"Assert": {"Fn::Not": [1, 2]}}]}}, "requires a list of 1 arguments"),
        ({"R": {"Assertions": [{"Assert": {"Fn::EachMemberIn": [{"Fn::RefAll": "X"}, []]}}]}},
         "the local cloud does not know the function Fn::RefAll"),
    ],
)  # fmt: skip
def test_a_rule_that_is_none_is_refused(local_cloud: LocalCloud, rules: Any, message: str) -> None:
    """Neither conditions nor Fn::If are functions of rules, whatever the page of their syntax lists."""
    body = template({"P": parameter("/p", "1")}, Rules=rules)
    with pytest.raises(ClientError, match=message):
        local_cloud.client("cloudformation").validate_template(TemplateBody=body)
