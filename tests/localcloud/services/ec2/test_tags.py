"""Tags have limits, and name what exists. Source: EC2 user guide, "Tag restrictions"."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of, launch


@pytest.mark.parametrize(("key", "value"), [("aws:mine", "x"), ("k" * 128, "x"), ("k", "x" * 257)])
def test_a_tag_has_its_limits(client: Any, image_id: str, key: str, value: str) -> None:
    client("ec2").create_tags(Resources=[image_id], Tags=[{"Key": "k" * 127, "Value": "x" * 256}])
    with pytest.raises(ClientError) as caught:
        client("ec2").create_tags(Resources=[image_id], Tags=[{"Key": key, "Value": value}])
    assert code_of(caught) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("resource_id", "code"),
    [
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("eni-0123456789abcdef0", "InvalidNetworkInterfaceID.NotFound"),
        ("ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("nat-0123456789abcdef0", "InvalidID"),
        ("eipalloc-0123456789abcdef0", "InvalidID"),
        ("vpce-0123456789abcdef0", "InvalidID"),
        ("fl-0123456789abcdef0", "InvalidID"),
        ("acl-0123456789abcdef0", "InvalidID"),
    ],
)
def test_tags_are_for_what_is_there(client: Any, resource_id: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        client("ec2").create_tags(Resources=[resource_id], Tags=[{"Key": "a", "Value": "b"}])
    assert code_of(caught) == code


def test_what_is_there_can_be_tagged(client: Any, image_id: str) -> None:
    ec2 = client("ec2")
    instance_id = launch(client, image_id, "tagged")
    [instance] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=instance["SubnetId"], AllocationId=address)["NatGateway"]
    service = "com.amazonaws.us-east-1.s3"
    endpoint = ec2.create_vpc_endpoint(VpcId=instance["VpcId"], ServiceName=service)["VpcEndpoint"]
    logs = ec2.create_flow_logs(
        ResourceIds=[instance["VpcId"]], ResourceType="VPC", TrafficType="ALL",
        LogDestinationType="s3", LogDestination="arn:aws:s3:::flow",
    )  # fmt: skip
    things = [
        instance_id, address, gateway["NatGatewayId"], endpoint["VpcEndpointId"], *logs["FlowLogIds"],
        instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        ec2.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"],
    ]  # fmt: skip
    ec2.create_tags(Resources=things, Tags=[{"Key": "a", "Value": "b"}])
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": things}])["Tags"]
    assert {tag["ResourceId"] for tag in found} == set(things)
