"""What AWS refuses and moto alone would take. Sources: EC2 and Elastic Load Balancing API references."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud.core import server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A control plane without machines: nothing here has to boot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "PARTS", ())
        cloud = server.CloudServer(tmp_path_factory.mktemp("cloud"), 0, log=lambda _line: None)
        context = cloud.start()
        keys = {"aws_access_key_id": "INGOTTEST", "aws_secret_access_key": "secret"}
        try:
            yield lambda service: boto3.client(
                service, region_name="us-east-1", endpoint_url=context.endpoint, **keys
            )
        finally:
            cloud.stop()
            from moto.moto_api._internal.models import moto_api_backend

            moto_api_backend.reset()


@pytest.fixture(scope="module")
def image_id(client: Any) -> str:
    ebs, ec2 = client("ebs"), client("ec2")
    snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=0)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}
    registered: str = ec2.register_image(
        Name="small", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping]
    )["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[registered], WaiterConfig={"Delay": 1})
    return registered


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return caught.value.response["Error"]["Code"]


def launch(client: Any, image_id: str, token: str, **changed: Any) -> str:
    request = {"MinCount": 1, "MaxCount": 1, "InstanceType": "t3.small", **changed}
    launched = client("ec2").run_instances(ImageId=image_id, ClientToken=token, **request)
    instance_id: str = launched["Instances"][0]["InstanceId"]
    return instance_id


def test_the_same_token_launches_once(client: Any, image_id: str) -> None:
    first = launch(client, image_id, "once")
    assert launch(client, image_id, "once") == first
    assert launch(client, image_id, "twice") != first


def test_the_same_token_with_other_parameters_is_refused(client: Any, image_id: str) -> None:
    launch(client, image_id, "changed")
    with pytest.raises(ClientError) as caught:
        launch(client, image_id, "changed", InstanceType="t3.large")
    assert code_of(caught) == "IdempotentParameterMismatch"


def test_the_token_of_a_terminated_instance_is_refused(client: Any, image_id: str) -> None:
    client("ec2").terminate_instances(InstanceIds=[launch(client, image_id, "gone")])
    with pytest.raises(ClientError) as caught:
        launch(client, image_id, "gone")
    assert code_of(caught) == "IdempotentInstanceTerminated"


ENCRYPTED = {"Encrypted": True, "VolumeType": "gp3"}


def volumes(client: Any, instance_id: str) -> dict[str, bool]:
    """Each device of an instance, and whether its volume is encrypted."""
    attached = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    found = client("ec2").describe_volumes(Filters=attached)["Volumes"]
    return {volume["Attachments"][0]["Device"]: volume["Encrypted"] for volume in found}


def test_a_device_that_the_ami_lacks_needs_a_size_or_a_snapshot(client: Any, image_id: str) -> None:
    template = client("ec2").create_launch_template(
        LaunchTemplateName="other-root",
        LaunchTemplateData={"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": ENCRYPTED}]},
    )["LaunchTemplate"]["LaunchTemplateId"]
    by_template = {"LaunchTemplate": {"LaunchTemplateId": template}}
    for number, changed in enumerate(
        [by_template, {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": ENCRYPTED}]}]
    ):
        with pytest.raises(ClientError) as caught:
            launch(client, image_id, f"device-{number}", **changed)
        assert code_of(caught) == "MissingParameter"
    without = [{"DeviceName": "/dev/sda1", "NoDevice": ""}]
    found = launch(client, image_id, "device-2", **by_template, BlockDeviceMappings=without)
    assert list(volumes(client, found)) == ["/dev/xvda"]


def test_a_device_of_the_ami_has_its_snapshot(client: Any, image_id: str) -> None:
    root = [{"DeviceName": "/dev/xvda", "Ebs": ENCRYPTED}]
    found = launch(client, image_id, "root", BlockDeviceMappings=root)
    assert volumes(client, found) == {"/dev/xvda": True}


def test_a_token_of_65_characters_is_refused(client: Any, image_id: str) -> None:
    with pytest.raises(ClientError) as caught:
        launch(client, image_id, "x" * 65)
    assert code_of(caught) == "InvalidParameterValue"


def test_a_port_has_one_listener(client: Any) -> None:
    ec2, elb = client("ec2"), client("elbv2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]
    balancers = [
        elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        for name in ("one", "two")
    ]
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}

    def listen(balancer: str, port: int) -> str:
        made = elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=[answer]
        )
        arn: str = made["Listeners"][0]["ListenerArn"]
        return arn

    first = listen(balancers[0], 80)
    assert listen(balancers[1], 80), "another load balancer's port is free"
    other = listen(balancers[0], 81)
    with pytest.raises(ClientError) as caught:
        listen(balancers[0], 80)
    assert code_of(caught) == "DuplicateListener"
    with pytest.raises(ClientError) as caught:
        elb.modify_listener(ListenerArn=other, Port=80, DefaultActions=[answer])
    assert code_of(caught) == "DuplicateListener"
    elb.modify_listener(ListenerArn=first, Port=80, DefaultActions=[answer])


def test_a_filter_takes_200_values(client: Any) -> None:
    ids = [f"i-{number:017x}" for number in range(201)]
    client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": ids[:200]}])
    with pytest.raises(ClientError) as caught:
        client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": ids}])
    assert code_of(caught) == "FilterLimitExceeded"


@pytest.mark.parametrize(("key", "value"), [("aws:mine", "x"), ("k" * 128, "x"), ("k", "x" * 257)])
def test_a_tag_has_its_limits(client: Any, image_id: str, key: str, value: str) -> None:
    client("ec2").create_tags(Resources=[image_id], Tags=[{"Key": "k" * 127, "Value": "x" * 256}])
    with pytest.raises(ClientError) as caught:
        client("ec2").create_tags(Resources=[image_id], Tags=[{"Key": key, "Value": value}])
    assert code_of(caught) == "InvalidParameterValue"


def zones(client: Any) -> list[str]:
    return [subnet["SubnetId"] for subnet in client("ec2").describe_subnets()["Subnets"]]


@pytest.mark.parametrize("name", ["x" * 33, "under_score", "-first", "last-", "internal-one"])
def test_a_load_balancer_has_a_name_of_a_form(client: Any, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        client("elbv2").create_load_balancer(Name=name, Subnets=zones(client)[:2])
    assert code_of(caught) == "ValidationError"


def test_an_application_load_balancer_stands_in_two_zones(client: Any) -> None:
    with pytest.raises(ClientError, match="two different Availability Zones") as caught:
        client("elbv2").create_load_balancer(Name="narrow", Subnets=zones(client)[:1])
    assert code_of(caught) == "ValidationError"
    client("elbv2").create_load_balancer(Name="network", Type="network", Subnets=zones(client)[:1])


def test_deletion_protection_protects(client: Any) -> None:
    elb = client("elbv2")
    made = elb.create_load_balancer(Name="protected", Subnets=zones(client)[:2])["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]

    def protect(value: str) -> None:
        attribute = {"Key": "deletion_protection.enabled", "Value": value}
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[attribute])

    protect("true")
    with pytest.raises(ClientError) as caught:
        elb.delete_load_balancer(LoadBalancerArn=arn)
    assert code_of(caught) == "OperationNotPermitted"
    protect("false")
    elb.delete_load_balancer(LoadBalancerArn=arn)


@pytest.mark.parametrize("name", ["x" * 129, "a:b:c", "späße"])
def test_an_image_has_a_name_of_a_form(client: Any, image_id: str, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        client("ec2").register_image(Name=name, RootDeviceName="/dev/xvda")
    assert code_of(caught) == "InvalidAMIName.Malformed"


@pytest.mark.parametrize(("key", "value"), [("aws:mine", "x"), ("k" * 128, "x"), ("k", "x" * 257)])
def test_an_image_is_registered_with_tags_that_may_be(
    client: Any, image_id: str, key: str, value: str
) -> None:
    [known] = client("ec2").describe_images(ImageIds=[image_id])["Images"]
    snapshot_id = known["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with pytest.raises(ClientError) as caught:
        client("ec2").register_image(
            Name="tagged", RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}],
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": key, "Value": value}]}],
        )  # fmt: skip
    assert code_of(caught) == "InvalidParameterValue"


def test_a_parameter_fits_its_pattern(client: Any) -> None:
    given = {"Name": "/number", "Type": "String", "AllowedPattern": r"^\d+$"}
    with pytest.raises(ClientError) as caught:
        client("ssm").put_parameter(Value="one", **given)
    assert code_of(caught) == "ParameterPatternMismatchException"
    client("ssm").put_parameter(Value="1", **given)


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
        instance["NetworkInterfaces"][0]["NetworkInterfaceId"], ec2.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"],
    ]  # fmt: skip
    ec2.create_tags(Resources=things, Tags=[{"Key": "a", "Value": "b"}])
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": things}])["Tags"]
    assert {tag["ResourceId"] for tag in found} == set(things)


DESCRIBE = ["instances", "images", "snapshots", "vpcs", "subnets", "security_groups", "launch_templates", "volumes", "route_tables", "network_interfaces"]  # fmt: skip


@pytest.mark.parametrize("what", [*DESCRIBE, "availability_zones", "instance_types"])
def test_a_filter_has_a_name_that_ec2_knows(client: Any, what: str) -> None:
    with pytest.raises(ClientError, match="The filter 'no-such-filter' is invalid") as caught:
        getattr(client("ec2"), f"describe_{what}")(Filters=[{"Name": "no-such-filter", "Values": ["x"]}])
    assert code_of(caught) == "InvalidParameterValue"


@pytest.mark.parametrize("what", DESCRIBE)
def test_filters_by_tag_are_known_everywhere(client: Any, what: str) -> None:
    filters = [{"Name": "tag:Name", "Values": ["x"]}, {"Name": "tag-key", "Values": ["Name"]}]
    getattr(client("ec2"), f"describe_{what}")(Filters=filters)


def test_older_spellings_of_filters_are_known(client: Any) -> None:
    client("ec2").describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])
    client("ec2").describe_subnets(Filters=[{"Name": "defaultForAz", "Values": ["true"]}])
    client("ec2").describe_subnets(Filters=[{"Name": "cidr", "Values": ["10.0.0.0/24"]}])
    client("ec2").describe_addresses(Filters=[{"Name": "domain", "Values": ["vpc"]}])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("vpcs", "VpcId"),
        ("vpcs", "Is-Default"),
        ("vpcs", "isdefault"),
        ("availability_zones", "tag:Name"),
    ],
)
def test_filters_are_spelled_as_ec2_spells_them(client: Any, call: str, name: str) -> None:
    with pytest.raises(ClientError, match=f"The filter '{name}' is invalid"):
        getattr(client("ec2"), f"describe_{call}")(Filters=[{"Name": name, "Values": ["x"]}])


def test_groups_and_subnet_of_a_launch_are_of_one_network(client: Any, image_id: str) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.20.0.0/24")["Subnet"]["SubnetId"]
    own = ec2.create_security_group(GroupName="own", Description="d", VpcId=vpc)["GroupId"]
    [default] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    other = ec2.create_security_group(GroupName="other", Description="d", VpcId=default["VpcId"])["GroupId"]
    made = ec2.create_launch_template(
        LaunchTemplateName="grouped",
        LaunchTemplateData={"SecurityGroupIds": [other], "InstanceType": "t3.small"},
    )
    grouped = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}
    nic = {"DeviceIndex": 0, "SubnetId": subnet}
    for number, asked in enumerate([
        {"SubnetId": subnet, "SecurityGroupIds": [other]},
        {"NetworkInterfaces": [{**nic, "Groups": [own, other]}]},
        {"SubnetId": subnet, "LaunchTemplate": grouped},
    ]):  # fmt: skip
        with pytest.raises(
            ClientError, match=f"Security group {other} and subnet {subnet} belong to different networks"
        ) as caught:
            launch(client, image_id, f"apart-{number}", **asked)
        assert code_of(caught) == "InvalidParameter"
    launch(client, image_id, "together", SubnetId=subnet, SecurityGroupIds=[own])
    launch(client, image_id, "by-nic", NetworkInterfaces=[{**nic, "Groups": [own]}])
