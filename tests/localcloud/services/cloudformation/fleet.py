"""A small fleet as a template, and a recorder of the refreshes that CloudFormation asks for."""

import json
from typing import Any

import pytest

from ingot.errors import CloudError
from tests.localcloud.conftest import LocalCloud

POLICY = {
    "AutoScalingInstanceRefresh": {"Strategy": "Rolling"},
    "AutoScalingScheduledAction": {"IgnoreUnmodifiedGroupSizeProperties": True},
}


def fleet(image: str, *, subnets: int = 2, desired: str = "0", maximum: str = "2", grace: int = 60) -> str:
    zones = [f"us-east-1{zone}" for zone in "ab"]
    resources: dict[str, Any] = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "172.20.0.0/16"}},
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "clones",
                "VpcId": {"Ref": "Vpc"},
                "SecurityGroupEgress": [
                    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
                ],
            },
        },
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {
                "LaunchTemplateData": {
                    "ImageId": image,
                    "InstanceType": "t3.small",
                    "SecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}],
                    "UserData": {"Fn::Base64": "hello"},
                }
            },
        },
        "Targets": {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "Port": 80,
                "Protocol": "HTTP",
                "HealthCheckPath": "/healthz",
            },
        },
        "Clones": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "UpdatePolicy": POLICY,
            "Properties": {
                "MinSize": "0",
                "HealthCheckGracePeriod": grace,
                "MaxSize": maximum,
                "DesiredCapacity": desired,
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "Template"},
                    "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                },
                "VPCZoneIdentifier": [{"Ref": f"Subnet{n}"} for n in range(subnets)],
                "TargetGroupARNs": [{"Ref": "Targets"}],
                "Tags": [{"Key": "Name", "Value": "clone", "PropagateAtLaunch": True}],
            },
        },
    }
    for number, zone in enumerate(zones):
        resources[f"Subnet{number}"] = {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "AvailabilityZone": zone,
                "CidrBlock": {"Fn::Select": [number, {"Fn::Cidr": [{"Fn::GetAtt": "Vpc.CidrBlock"}, 2, 8]}]},
            },
        }
    outputs = {name: {"Value": {"Ref": name}} for name in ("Vpc", "Group", "Template", "Clones", "Targets")}
    return json.dumps({"Resources": resources, "Outputs": outputs})


class Refreshes:
    """Stands for the part that refreshes instances: records what CloudFormation asks for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.fails = False

    def __call__(self, group: str, policy: Any) -> None:
        self.asked.append((group, policy))
        if self.fails:
            self.fails = False
            raise CloudError("the new clones do not answer")


@pytest.fixture
def refreshes(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Refreshes:
    hook = Refreshes()
    monkeypatch.setattr(local_cloud.context.hooks, "instance_refresh", hook)
    return hook


def outputs_of(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def group_of(cloud: LocalCloud, name: str) -> dict[str, Any]:
    groups = cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    found: dict[str, Any] = groups["AutoScalingGroups"][0]
    return found


def versions_of(cloud: LocalCloud, template_id: str) -> list[str]:
    listed = cloud.client("ec2").describe_launch_template_versions(LaunchTemplateId=template_id)
    by_number = sorted(listed["LaunchTemplateVersions"], key=lambda version: int(version["VersionNumber"]))
    return [version["LaunchTemplateData"]["ImageId"] for version in by_number]
