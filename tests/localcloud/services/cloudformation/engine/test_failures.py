"""What CloudFormation leaves behind when a resource fails half-way: nothing that was not there before."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import (
    BROKEN,
    create,
    events,
    parameter,
    settled,
    template,
    update,
    value_of,
)

VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "172.20.0.0/16"}}


def balancer(name: str) -> dict[str, Any]:
    """Return a load balancer that exists when its access logs are refused."""
    logs = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "nobodys-bucket"}
    subnets = [
        {"Type": "AWS::EC2::Subnet", "Properties": {
            "VpcId": {"Ref": "V"},
            "CidrBlock": f"172.20.{number}.0/24",
            "AvailabilityZone": f"us-east-1{zone}",
        }}
        for number, zone in enumerate("ab")
    ]  # fmt: skip
    return {
        "V": VPC, "S0": subnets[0], "S1": subnets[1],
        "L": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {
                "Name": name, "Subnets": [{"Ref": "S0"}, {"Ref": "S1"}],
                "LoadBalancerAttributes": [{"Key": key, "Value": value} for key, value in logs.items()],
            },
        },
    }  # fmt: skip


def balancers(cloud: LocalCloud) -> list[str]:
    return [b["LoadBalancerName"] for b in cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]]


def test_a_half_made_resource_is_deleted_on_rollback(local_cloud: LocalCloud) -> None:
    stack = create(local_cloud, "half", template(balancer("half")))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    statuses = [(name, status) for name, status, _ in events(local_cloud, "half")]
    assert ("L", "CREATE_FAILED") in statuses
    assert ("L", "DELETE_COMPLETE") in statuses
    assert "half" not in balancers(local_cloud)


def test_a_half_made_replacement_goes_and_the_old_one_stays(local_cloud: LocalCloud) -> None:
    good = balancer("old")
    good["L"]["Properties"].pop("LoadBalancerAttributes")
    create(local_cloud, "replaced", template(good))
    stack = update(local_cloud, "replaced", template(balancer("new")))
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert [name for name in balancers(local_cloud) if name in ("old", "new")] == ["old"]


def test_without_rollback_the_next_update_makes_room_first(local_cloud: LocalCloud) -> None:
    stack = create(local_cloud, "kept", template(balancer("kept")), OnFailure="DO_NOTHING")
    assert stack["StackStatus"] == "CREATE_FAILED"
    good = balancer("kept")
    good["L"]["Properties"].pop("LoadBalancerAttributes")
    assert update(local_cloud, "kept", template(good))["StackStatus"] == "UPDATE_COMPLETE"
    assert balancers(local_cloud).count("kept") == 1


def test_a_half_made_update_is_undone(local_cloud: LocalCloud) -> None:
    """The rule that was added goes, and the one that was revoked comes back."""

    def group(*ports: int, egress: str = "10.0.0.0/8") -> str:
        rules = [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"} for port in ports
        ]
        properties = {
            "GroupDescription": "g", "GroupName": "half-updated", "VpcId": {"Ref": "V"},
            "SecurityGroupIngress": rules,
            "SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIp": egress}],
        }  # fmt: skip
        return template({"V": VPC, "G": {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}})

    def ports() -> list[tuple[str, int]]:
        by_name = [{"Name": "group-name", "Values": ["half-updated"]}]
        [found] = local_cloud.client("ec2").describe_security_groups(Filters=by_name)["SecurityGroups"]
        return [
            (way, rule["FromPort"]) for way in ("IpPermissions", "IpPermissionsEgress") for rule in found[way]
        ]

    create(local_cloud, "undone", group(80, 81))
    assert ports() == [("IpPermissions", 80), ("IpPermissions", 81), ("IpPermissionsEgress", 1)]
    stack = update(local_cloud, "undone", group(81, 82, egress="nowhere"))
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", events(local_cloud, "undone")
    assert sorted(ports()) == [("IpPermissions", 80), ("IpPermissions", 81), ("IpPermissionsEgress", 1)]


def test_a_missing_property_fails_the_resource_and_rolls_back(local_cloud: LocalCloud) -> None:
    incomplete = {"Type": "AWS::EC2::RouteTable", "Properties": {}, "DependsOn": "P"}
    stack = create(local_cloud, "incomplete", template({"P": parameter("/incomplete", "x"), "T": incomplete}))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert value_of(local_cloud, "/incomplete") is None
    assert any(
        name == "T" and "required key [VpcId] not found" in why
        for name, _, why in events(local_cloud, "incomplete")
    )


class TestChangeSets:
    def change_set(self, cloud: LocalCloud, stack: str, value: str) -> str:
        change_set: str = cloud.client("cloudformation").create_change_set(
            StackName=stack,
            ChangeSetName="later",
            TemplateBody=template({"A": parameter(f"/{stack}", value)}),
            ChangeSetType="UPDATE",
        )["Id"]
        return change_set

    def test_they_go_with_their_stack(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        stack_id = create(local_cloud, "risen", template({"A": parameter("/risen", "1")}))["StackId"]
        later = self.change_set(local_cloud, "risen", "2")
        client.delete_stack(StackName="risen")
        settled(local_cloud, stack_id)
        with pytest.raises(ClientError) as error:
            client.execute_change_set(ChangeSetName=later)
        assert error.value.response["Error"]["Code"] == "ChangeSetNotFound"
        assert settled(local_cloud, stack_id)["StackStatus"] == "DELETE_COMPLETE"

    def test_an_update_drops_them(self, local_cloud: LocalCloud) -> None:
        create(local_cloud, "moved", template({"A": parameter("/moved", "1")}))
        later = self.change_set(local_cloud, "moved", "2")
        update(local_cloud, "moved", template({"A": parameter("/moved", "3")}))
        with pytest.raises(ClientError, match="does not exist"):
            local_cloud.client("cloudformation").execute_change_set(ChangeSetName=later)
        assert value_of(local_cloud, "/moved") == "3"

    def test_one_of_type_create_is_executed_once(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        for name in ("first", "second"):
            client.create_change_set(
                StackName="once",
                ChangeSetName=name,
                TemplateBody=template({"B": BROKEN}),
                ChangeSetType="CREATE",
            )
        second = client.describe_change_set(StackName="once", ChangeSetName="second")["ChangeSetId"]
        client.delete_stack(StackName="once")
        with pytest.raises(ClientError):
            client.execute_change_set(ChangeSetName=second)
