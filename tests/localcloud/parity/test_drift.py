"""Drift detection: a stack is compared with what its resources really are.

Sources: "Detect unmanaged configuration changes to stacks and resources with drift detection", CloudFormation
user guide; DetectStackDrift, DescribeStackResourceDrifts and PropertyDifference, API reference.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import create, parameter, settled, template


def detected(cloud: LocalCloud, stack: str, **more: Any) -> dict[str, Any]:
    """Let drift be detected and return the end of it."""
    client = cloud.client("cloudformation")
    began = client.detect_stack_drift(StackName=stack, **more)["StackDriftDetectionId"]
    end = time.monotonic() + 120
    while True:
        found: dict[str, Any] = client.describe_stack_drift_detection_status(StackDriftDetectionId=began)
        if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            assert found["DetectionStatus"] == "DETECTION_COMPLETE", found
            return found
        assert time.monotonic() < end
        time.sleep(0.05)


def drifts(cloud: LocalCloud, stack: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    listed = cloud.client("cloudformation").describe_stack_resource_drifts(StackName=stack)
    return {
        d["LogicalResourceId"]: (
            d["StackResourceDriftStatus"],
            [(p["PropertyPath"], p["DifferenceType"]) for p in d["PropertyDifferences"]],
        )
        for d in listed["StackResourceDrifts"]
    }


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ALARM = {
    "AlarmName": "drift", "MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum",
    "Threshold": "1", "EvaluationPeriods": "1", "ComparisonOperator": "GreaterThanThreshold",
}  # fmt: skip
RESOURCES: dict[str, Any] = {
    "Parameter": parameter("/drift/p", "1"),
    "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "drift", "RetentionInDays": 7}},
    "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM},
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.70.0.0/16"}},
    "Web": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": "web", "VpcId": {"Ref": "Vpc"},
            "SecurityGroupIngress": [
                {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"}
            ],
        },
    },
    "More": {
        "Type": "AWS::EC2::SecurityGroupIngress",
        "Properties": {
            "GroupId": {"Ref": "Web"}, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
            "CidrIp": "0.0.0.0/0",
        },
    },
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {"RoleName": "drift", "AssumeRolePolicyDocument": TRUST, "MaxSessionDuration": 3600},
    },
    "Bucket": {
        "Type": "AWS::S3::Bucket",
        "Properties": {"BucketName": "drift", "VersioningConfiguration": {"Status": "Enabled"}},
    },
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "drift"}},
    "Targets": {
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Properties": {
            "Name": "drift", "Port": 80, "Protocol": "HTTP", "VpcId": {"Ref": "Vpc"},
            "HealthCheckPath": "/healthz",
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(local_cloud: LocalCloud) -> dict[str, str]:
    """A stack of many types; returns the physical ids."""
    stack = create(local_cloud, "drift", template(RESOURCES), Capabilities=["CAPABILITY_NAMED_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    client = local_cloud.client("cloudformation")
    [checked] = client.describe_stacks(StackName="drift")["Stacks"]
    assert checked["DriftInformation"] == {"StackDriftStatus": "NOT_CHECKED"}
    listed = client.describe_stack_resources(StackName="drift")["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in listed}


def test_a_stack_as_it_was_made_is_in_sync(local_cloud: LocalCloud, stack: dict[str, str]) -> None:
    found = detected(local_cloud, "drift")
    assert drifts(local_cloud, "drift") == {
        name: ("IN_SYNC", []) for name in RESOURCES if name not in ("Vpc", "More")
    }
    assert (found["StackDriftStatus"], found["DriftedStackResourceCount"]) == ("IN_SYNC", 0)
    described = local_cloud.client("cloudformation").describe_stack_resource(
        StackName="drift", LogicalResourceId="Vpc"
    )
    drift = described["StackResourceDetail"]["DriftInformation"]
    assert drift == {"StackResourceDriftStatus": "NOT_CHECKED"}


Change = Callable[[LocalCloud, dict[str, str]], Any]
CHANGES: list[tuple[str, Change, list[tuple[str, str]]]] = [
    (
        "Parameter",
        lambda c, _: c.client("ssm").put_parameter(Name="/drift/p", Value="2", Overwrite=True),
        [("/Value", "NOT_EQUAL")],
    ),
    (
        "Logs",
        lambda c, _: c.client("logs").delete_retention_policy(logGroupName="drift"),
        [("/RetentionInDays", "REMOVE")],
    ),
    (
        "Alarm",
        lambda c, _: c.client("cloudwatch").put_metric_alarm(
            **{**ALARM, "Threshold": 2.0, "EvaluationPeriods": 1}
        ),
        [("/Threshold", "NOT_EQUAL")],
    ),
    (
        "Web",
        lambda c, ids: c.client("ec2").authorize_security_group_ingress(
            GroupId=ids["Web"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        ),
        [("/SecurityGroupIngress", "NOT_EQUAL")],
    ),
    (
        "Role",
        lambda c, _: c.client("iam").update_assume_role_policy(
            RoleName="drift", PolicyDocument=json.dumps(TRUST).replace("ec2.", "ssm.")
        ),
        [("/AssumeRolePolicyDocument/Statement", "NOT_EQUAL")],
    ),
    (
        "Bucket",
        lambda c, _: c.client("s3").put_bucket_versioning(
            Bucket="drift", VersioningConfiguration={"Status": "Suspended"}
        ),
        [("/VersioningConfiguration/Status", "NOT_EQUAL")],
    ),
    (
        "Targets",
        lambda c, ids: c.client("elbv2").modify_target_group(
            TargetGroupArn=ids["Targets"], HealthCheckPath="/"
        ),
        [("/HealthCheckPath", "NOT_EQUAL")],
    ),
]


@pytest.mark.parametrize(("name", "change", "differences"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_what_is_changed_by_hand_is_named(
    local_cloud: LocalCloud,
    stack: dict[str, str],
    name: str,
    change: Change,
    differences: list[tuple[str, str]],
) -> None:
    change(local_cloud, stack)
    client = local_cloud.client("cloudformation")
    found = client.detect_stack_resource_drift(StackName="drift", LogicalResourceId=name)
    assert found["StackResourceDrift"]["StackResourceDriftStatus"] == "MODIFIED"
    assert drifts(local_cloud, "drift")[name] == ("MODIFIED", differences)


def test_values_of_both_sides_are_shown(local_cloud: LocalCloud) -> None:
    create(local_cloud, "shown", template({"P": parameter("/drift/shown", "1")}))
    local_cloud.client("ssm").put_parameter(Name="/drift/shown", Value="2", Overwrite=True)
    found = detected(local_cloud, "shown")
    assert (found["StackDriftStatus"], found["DriftedStackResourceCount"]) == ("DRIFTED", 1)
    client = local_cloud.client("cloudformation")
    [drift] = client.describe_stack_resource_drifts(
        StackName="shown", StackResourceDriftStatusFilters=["MODIFIED"]
    )["StackResourceDrifts"]
    assert drift["PropertyDifferences"] == [
        {"PropertyPath": "/Value", "ExpectedValue": "1", "ActualValue": "2", "DifferenceType": "NOT_EQUAL"}
    ]
    assert json.loads(drift["ExpectedProperties"])["Value"] == "1"
    assert json.loads(drift["ActualProperties"])["Value"] == "2"
    [described] = client.describe_stacks(StackName="shown")["Stacks"]
    assert described["DriftInformation"]["StackDriftStatus"] == "DRIFTED"


def test_what_is_gone_is_deleted(local_cloud: LocalCloud) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "drift-gone"}}
    create(local_cloud, "gone", template({"P": parameter("/drift/gone", "1"), "T": topic}))
    local_cloud.client("ssm").delete_parameter(Name="/drift/gone")
    found = detected(local_cloud, "gone", LogicalResourceIds=["P"])
    assert found["StackDriftStatus"] == "DRIFTED"
    assert drifts(local_cloud, "gone") == {"P": ("DELETED", [])}


def test_refusals(local_cloud: LocalCloud, stack: dict[str, str]) -> None:
    client = local_cloud.client("cloudformation")
    with pytest.raises(ClientError, match="Stack with id nobody does not exist"):
        client.detect_stack_drift(StackName="nobody")
    with pytest.raises(ClientError, match="do not exist in stack drift"):
        client.detect_stack_drift(StackName="drift", LogicalResourceIds=["Nobody"])
    with pytest.raises(ClientError, match="not supported for resource Vpc"):
        client.detect_stack_resource_drift(StackName="drift", LogicalResourceId="Vpc")
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_stack_drift_detection_status(StackDriftDetectionId="0" * 36)
    broken = {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Name": "/aws/no", "Type": "String", "Value": "1"},
    }
    client.create_stack(StackName="back", TemplateBody=template({"P": broken}))
    assert settled(local_cloud, "back")["StackStatus"] == "ROLLBACK_COMPLETE"
    with pytest.raises(ClientError, match="in state ROLLBACK_COMPLETE"):
        client.detect_stack_drift(StackName="back")
