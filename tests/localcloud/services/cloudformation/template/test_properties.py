"""CloudFormation holds properties against the schema of their type before anything is made of them."""

from typing import Any

import pytest
import regex

from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources import TYPES
from localcloud.services.cloudformation.template.properties import FREE, check, schema_of
from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import (
    create,
    events,
    parameter,
    template,
    update,
    value_of,
)

BEGINNING = "Properties validation failed for resource X with message:\n"


def said(type_name: str, **properties: Any) -> str:
    with pytest.raises(ResourceFailure) as failure:
        check("X", type_name, "eu-central-1", properties)
    text = str(failure.value)
    assert text.startswith(BEGINNING)
    return text.removeprefix(BEGINNING)


def fits(type_name: str, **properties: Any) -> None:
    """Nothing is said of it, and something is with a property that is none."""
    check("X", type_name, "eu-central-1", properties)
    assert "extraneous key [NoSuch]" in said(type_name, **properties, NoSuch="x")


GROUP = "AWS::AutoScaling::AutoScalingGroup"
TEMPLATE = {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "1"}}
TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"


def test_every_mistake_is_said_with_its_place() -> None:
    tags = [{"Key": "a", "Value": "b"}, {"Key": "a", "Valeu": "b"}]
    assert said("AWS::EC2::VPC", CidrBlock="10.0.0.0/16", EnableDns=True, Tags=tags).split("\n") == [
        "#: extraneous key [EnableDns] is not permitted",
        "#/Tags/1: extraneous key [Valeu] is not permitted",
        "#/Tags/1: required key [Value] not found",
    ]


@pytest.mark.parametrize(
    ("type_name", "properties", "text"),
    [
        (GROUP, {"MaxSize": "1", **TEMPLATE}, "#: required key [MinSize] not found"),
        (TARGETS, {"Port": "http"}, "#/Port: expected type: Integer, found: String"),
        (TARGETS, {"Port": "8_0"}, "#/Port: expected type: Integer, found: String"),
        ("AWS::CloudWatch::Alarm",
         {"ComparisonOperator": "LessThanThreshold", "EvaluationPeriods": 1, "MetricName": "m",
          "Threshold": "nan"},
         "#/Threshold: expected type: Number, found: String"),
        (TARGETS, {"Port": 80.5}, "#/Port: expected type: Integer, found: Double"),
        (TARGETS, {"Port": True}, "#/Port: expected type: Integer, found: Boolean"),
        (TARGETS, {"Port": "70000"}, "#/Port: failed validation constraint for keyword [maximum]"),
        (TARGETS, {"Tags": {"a": "b"}}, "#/Tags: expected type: JSONArray, found: JSONObject"),
        (TARGETS, {"Protocol": "HTTTP"}, "#/Protocol: HTTTP is not a valid enum value"),
        ("AWS::Logs::LogGroup", {"RetentionInDays": "15"}, "#/RetentionInDays: 15 is not a valid enum value"),
        ("AWS::Logs::LogGroup", {"LogGroupName": "a b"},
         "#/LogGroupName: failed validation constraint for keyword [pattern]"),
        ("AWS::EC2::VPC", {}, "#: failed validation constraint for keyword [requiredXor]"),
        (GROUP, {"MinSize": -1, "MaxSize": 1, **TEMPLATE},
         "#/MinSize: failed validation constraint for keyword [pattern]"),
        (GROUP, {"MinSize": 1, "MaxSize": 1.5, **TEMPLATE},
         "#/MaxSize: failed validation constraint for keyword [pattern]"),
        (TARGETS, {"Name": None}, "#/Name: expected type: String, found: Null"),
        ("AWS::SSM::Parameter", {"Type": "String", "Value": "x", "Tags": {"a": ["b"]}},
         "#/Tags/a: expected type: String, found: JSONArray"),
        ("AWS::SSM::Parameter", {"Type": "String", "Value": "x", "Tags": {"a!": "b"}},
         "#/Tags: extraneous key [a!] is not permitted"),
        ("AWS::IAM::Policy", {"PolicyName": "p", "PolicyDocument": {}},
         "#: failed validation constraint for keyword [anyOf]"),
        ("AWS::EC2::EIP", {"Domain": "house"}, "#/Domain: house is not a valid enum value"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(type_name: str, properties: dict[str, Any], text: str) -> None:
    assert said(type_name, **properties) == text


def test_numbers_and_booleans_may_be_text() -> None:
    fits(TARGETS, Port="80", Protocol="HTTP", VpcId="vpc-1", HealthCheckEnabled="true")
    fits("AWS::Logs::LogGroup", RetentionInDays="14")
    fits("AWS::EC2::VPC", CidrBlock="10.0.0.0/16", EnableDnsSupport="False", Tags=[{"Key": "n", "Value": 1}])
    fits(GROUP, MinSize=1, MaxSize="2", **TEMPLATE)
    fits("AWS::EC2::EIP", Domain="VPC")
    check("X", "AWS::CDK::Metadata", "eu-central-1", {"Analytics": "v2:deflate64:…"})


def test_devices_of_a_launch_template_are_as_ec2_takes_them() -> None:
    """And as the CDK writes them: `mappingEnabled: false` is NoDevice beside Ebs."""
    disk = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": "8", "Encrypted": "true"}}
    devices = [
        disk,
        {**disk, "NoDevice": ""},
        {"DeviceName": "/dev/sdc"},
        {"DeviceName": "/dev/sdd", "VirtualName": "ephemeral0"},
    ]
    fits(
        "AWS::EC2::LaunchTemplate",
        LaunchTemplateData={"BlockDeviceMappings": devices, "InstanceType": "t3.small"},
    )
    wrong = {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumSize": 8}}]}
    text = "#/LaunchTemplateData/BlockDeviceMappings/0/Ebs: extraneous key [VolumSize] is not permitted"
    assert said("AWS::EC2::LaunchTemplate", LaunchTemplateData=wrong) == text


def test_tags_of_a_parameter() -> None:
    fits("AWS::SSM::Parameter", Type="String", Value="x", Tags={"team": "é", "cost-centre": 12})


@pytest.mark.parametrize("type_name", sorted(TYPES.keys() - FREE))
def test_every_type_has_a_schema_with_patterns_that_can_be_read(type_name: str) -> None:
    def patterns(node: Any) -> list[str]:
        below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        own: list[str] = []
        if isinstance(node, dict):
            own = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
            own += node.get("patternProperties", {})
        return own + [pattern for part in below for pattern in patterns(part)]

    schema = schema_of(type_name, "us-east-1")
    assert schema["additionalProperties"] is False
    for pattern in patterns(schema):
        regex.compile(pattern)


def test_a_creation_ends_before_the_resource_is_made(local_cloud: LocalCloud) -> None:
    body = template({"P": parameter("/made", "x"), "Q": {**parameter("/not-made", "x"), "DependsOn": "P"}})
    body = body.replace('"/not-made"', '"/not-made", "Colour": "red"')
    assert create(local_cloud, "unfit", body)["StackStatus"] == "ROLLBACK_COMPLETE"
    message = (
        "Properties validation failed for resource Q with message:\n"
        "#: extraneous key [Colour] is not permitted"
    )
    assert ("Q", "CREATE_FAILED", message) in events(local_cloud, "unfit")
    assert value_of(local_cloud, "/made") is None
    assert value_of(local_cloud, "/not-made") is None


def test_an_update_goes_back(local_cloud: LocalCloud) -> None:
    good = {"P": parameter("/fit", "one")}
    create(local_cloud, "fit", template(good))
    bad = template({"P": parameter("/fit", "two")}).replace('"Type": "String"', '"Type": "Text"')
    assert update(local_cloud, "fit", bad)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    message = (
        "Properties validation failed for resource P with message:\n#/Type: Text is not a valid enum value"
    )
    assert ("P", "UPDATE_FAILED", message) in events(local_cloud, "fit")
    assert value_of(local_cloud, "/fit") == "one"
    assert (
        update(local_cloud, "fit", template({"P": parameter("/fit", "three")}))["StackStatus"]
        == "UPDATE_COMPLETE"
    )
    assert value_of(local_cloud, "/fit") == "three"
