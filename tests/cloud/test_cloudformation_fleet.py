"""The resources that Ingot's stacks are made of are created, changed and deleted through the real APIs."""

import json
from typing import Any

import pytest

from ingot.errors import CloudError

from .conftest import LocalCloud
from .test_cloudformation import create, events, settled, update

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


def test_a_new_image_makes_a_version_and_refreshes_the_group(
    local_cloud: LocalCloud, refreshes: Refreshes
) -> None:
    one, two = local_cloud.image("one"), local_cloud.image("two")
    outputs = outputs_of(create(local_cloud, "fleet", fleet(one)))
    assert refreshes.asked == []
    vpc = local_cloud.client("ec2").describe_vpcs(VpcIds=[outputs["Vpc"]])["Vpcs"][0]
    assert {"Key": "aws:cloudformation:stack-name", "Value": "fleet"} in vpc["Tags"]
    (egress,) = local_cloud.client("ec2").describe_security_groups(GroupIds=[outputs["Group"]])[
        "SecurityGroups"
    ][0]["IpPermissionsEgress"]
    assert egress["FromPort"] == 443
    assert update(local_cloud, "fleet", fleet(two))["StackStatus"] == "UPDATE_COMPLETE"
    assert versions_of(local_cloud, outputs["Template"]) == [one, two]
    assert refreshes.asked == [(outputs["Clones"], POLICY["AutoScalingInstanceRefresh"])]
    group = group_of(local_cloud, outputs["Clones"])
    assert group["LaunchTemplate"]["Version"] == "2"
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    assert (tags["Name"], tags["aws:cloudformation:stack-name"]) == ("clone", "fleet")


def test_a_change_of_sizes_refreshes_nothing(local_cloud: LocalCloud, refreshes: Refreshes) -> None:
    image = local_cloud.image("sizes")
    outputs = outputs_of(create(local_cloud, "sizes", fleet(image)))
    # Somebody set this meanwhile: what the template does not change stays (IgnoreUnmodifiedGroupSizeProperties).
    autoscaling = local_cloud.client("autoscaling")
    autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=outputs["Clones"], HealthCheckType="EC2", MaxSize=3
    )
    update(local_cloud, "sizes", fleet(image, maximum="2", grace=90))
    assert group_of(local_cloud, outputs["Clones"])["MaxSize"] == 3
    update(local_cloud, "sizes", fleet(image, maximum="4", grace=90))
    assert group_of(local_cloud, outputs["Clones"])["MaxSize"] == 4
    assert versions_of(local_cloud, outputs["Template"]) == [image]
    assert refreshes.asked == []


def test_a_failed_refresh_rolls_back_to_a_version_with_the_old_image(
    local_cloud: LocalCloud, refreshes: Refreshes
) -> None:
    good, bad = local_cloud.image("good"), local_cloud.image("bad")
    outputs = outputs_of(create(local_cloud, "refresh", fleet(good)))
    refreshes.fails = True
    assert update(local_cloud, "refresh", fleet(bad))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert versions_of(local_cloud, outputs["Template"]) == [good, bad, good]
    assert group_of(local_cloud, outputs["Clones"])["LaunchTemplate"]["Version"] == "3"
    assert len(refreshes.asked) == 2
    assert any(s == "UPDATE_FAILED" and "do not answer" in r for _, s, r in events(local_cloud, "refresh"))


def test_deletion_leaves_nothing(local_cloud: LocalCloud) -> None:
    stack = create(local_cloud, "leaves", fleet(local_cloud.image("leaves")))
    outputs = outputs_of(stack)
    local_cloud.client("cloudformation").delete_stack(StackName="leaves")
    assert settled(local_cloud, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    vpcs = local_cloud.client("ec2").describe_vpcs()["Vpcs"]
    assert outputs["Vpc"] not in [vpc["VpcId"] for vpc in vpcs]
    assert not local_cloud.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[outputs["Clones"]]
    )["AutoScalingGroups"]
