"""EC2: copies of images and snapshots, what is refused while something uses it, dry runs.

Each test names the page of AWS's documentation that it holds the local cloud to.
"""

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud, block, code_of

ZEROS = hashlib.sha256(bytes(524288)).digest()
BLOCKS = {0: block(1), 5: block(2), 2047: block(3)}
WHOLE: dict[str, Any] = {
    "Architecture": "x86_64", "VirtualizationType": "hvm", "RootDeviceName": "/dev/xvda", "EnaSupport": True,
    "ImdsSupport": "v2.0", "BootMode": "uefi", "TpmSupport": "v2.0",
}  # fmt: skip


def digest(cloud: LocalCloud, snapshot_id: str, region: str = "us-east-1") -> str:
    """Return the SHA-256 over the digests of all blocks, read through the EBS direct APIs."""
    ebs = cloud.client("ebs", region)
    listed = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
    blocks = {
        b["BlockIndex"]: ebs.get_snapshot_block(
            SnapshotId=snapshot_id, BlockIndex=b["BlockIndex"], BlockToken=b["BlockToken"]
        )["BlockData"].read()
        for b in listed["Blocks"]
    }
    whole = hashlib.sha256()
    for index in range(listed["VolumeSize"] * 2048):
        whole.update(hashlib.sha256(blocks[index]).digest() if index in blocks else ZEROS)
    return whole.hexdigest()


@pytest.fixture(scope="module")
def source(local_cloud: LocalCloud) -> str:
    """An AMI with all that can be said of one."""
    ebs = {"SnapshotId": local_cloud.snapshot(BLOCKS, size=1), "VolumeSize": 2, "VolumeType": "gp3"}
    ec2 = local_cloud.client("ec2")
    image_id: str = ec2.register_image(
        Name="source", **WHOLE, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "team", "Value": "web"}]}],
    )["ImageId"]  # fmt: skip
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    return image_id


def available(cloud: LocalCloud, image_id: str, region: str = "us-east-1") -> dict[str, Any]:
    ec2 = cloud.client("ec2", region)
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    image: dict[str, Any] = ec2.describe_images(ImageIds=[image_id])["Images"][0]
    return image


def snapshot_of(image: dict[str, Any]) -> str:
    return str(image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


class TestCopyImage:
    """EC2 user guide, "Copy an Amazon EC2 AMI"; API reference, CopyImage."""

    @pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
    def test_a_copy_has_all_of_its_source(self, local_cloud: LocalCloud, source: str, region: str) -> None:
        ec2 = local_cloud.client("ec2", region)
        copy_id = ec2.copy_image(Name="copy", SourceImageId=source, SourceRegion="us-east-1")["ImageId"]
        assert ec2.describe_images(ImageIds=[copy_id])["Images"][0]["State"] == "pending"
        copy, original = available(local_cloud, copy_id, region), available(local_cloud, source)
        for key in WHOLE:
            assert copy[key] == original[key], key
        assert copy["SourceImageId"] == source
        ebs, before = (image["BlockDeviceMappings"][0]["Ebs"] for image in (copy, original))
        assert ebs["SnapshotId"] != before["SnapshotId"]
        assert (ebs["VolumeSize"], ebs["VolumeType"], ebs["Encrypted"]) == (2, "gp3", False)
        assert digest(local_cloud, ebs["SnapshotId"], region) == digest(local_cloud, before["SnapshotId"])
        assert copy.get("Tags", []) == []

    def test_tags_come_along_when_asked_for(self, local_cloud: LocalCloud, source: str) -> None:
        ec2 = local_cloud.client("ec2")
        copy_id = ec2.copy_image(
            Name="with tags", SourceImageId=source, SourceRegion="us-east-1", CopyImageTags=True
        )["ImageId"]
        assert available(local_cloud, copy_id)["Tags"] == [{"Key": "team", "Value": "web"}]

    def test_a_copy_outlives_its_source(self, local_cloud: LocalCloud) -> None:
        ec2 = local_cloud.client("ec2")
        image_id = local_cloud.image("short-lived")
        before = digest(local_cloud, snapshot_of(available(local_cloud, image_id)))
        copy_id = ec2.copy_image(Name="outlives", SourceImageId=image_id, SourceRegion="us-east-1")["ImageId"]
        ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
        assert digest(local_cloud, snapshot_of(available(local_cloud, copy_id))) == before

    def test_a_copy_can_be_encrypted_and_holds_the_same(self, local_cloud: LocalCloud, source: str) -> None:
        ec2 = local_cloud.client("ec2")
        copy_id = ec2.copy_image(
            Name="encrypted", SourceImageId=source, SourceRegion="us-east-1", Encrypted=True
        )["ImageId"]
        copy = available(local_cloud, copy_id)
        assert copy["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        before = digest(local_cloud, snapshot_of(available(local_cloud, source)))
        assert digest(local_cloud, snapshot_of(copy)) == before

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"SourceImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
            ({"SourceRegion": "eu-central-1"}, "InvalidAMIID.NotFound"),
            ({"Name": "source"}, "InvalidAMIName.Duplicate"),
            ({"Name": "a:b"}, "InvalidAMIName.Malformed"),
            ({"KmsKeyId": "alias/x"}, "InvalidParameterDependency"),
        ],
    )
    def test_refusals(self, local_cloud: LocalCloud, source: str, changed: dict[str, Any], code: str) -> None:
        given = {"Name": "refused", "SourceImageId": source, "SourceRegion": "us-east-1", **changed}
        with pytest.raises(ClientError) as caught:
            local_cloud.client("ec2").copy_image(**given)
        assert code_of(caught) == code

    def test_a_client_token_makes_one_copy(self, local_cloud: LocalCloud, source: str) -> None:
        ec2 = local_cloud.client("ec2")
        given = {"Name": "once", "SourceImageId": source, "SourceRegion": "us-east-1", "ClientToken": "t"}
        assert ec2.copy_image(**given)["ImageId"] == ec2.copy_image(**given)["ImageId"]
        with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
            ec2.copy_image(**{**given, "Name": "twice"})


class TestCopySnapshot:
    """EBS user guide, "Copy an Amazon EBS snapshot"; EC2 API reference, CopySnapshot."""

    def test_an_encrypted_source_makes_an_encrypted_copy_of_the_same(self, local_cloud: LocalCloud) -> None:
        ec2 = local_cloud.client("ec2")
        source = local_cloud.snapshot(BLOCKS, Encrypted=True)
        given = {"SourceSnapshotId": source, "SourceRegion": "us-east-1"}
        tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "a", "Value": "b"}]}]
        copy = ec2.copy_snapshot(**given, TagSpecifications=tags)["SnapshotId"]
        ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[copy], WaiterConfig={"Delay": 1})
        [known] = ec2.describe_snapshots(SnapshotIds=[copy])["Snapshots"]
        assert (known["Encrypted"], known["VolumeSize"], known["Tags"]) == (True, 1, tags[0]["Tags"])
        assert digest(local_cloud, copy) == digest(local_cloud, source)
        with pytest.raises(ClientError, match="cannot be set to false"):
            ec2.copy_snapshot(**given, Encrypted=False)

    def test_a_pending_or_missing_source_is_refused(self, local_cloud: LocalCloud) -> None:
        ec2 = local_cloud.client("ec2")
        pending = local_cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
        for source, code in (
            (pending, "IncorrectState"),
            ("snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ):
            with pytest.raises(ClientError) as caught:
                ec2.copy_snapshot(SourceSnapshotId=source, SourceRegion="us-east-1")
            assert code_of(caught) == code


def test_a_missing_snapshot_is_named(local_cloud: LocalCloud) -> None:
    """EC2 API reference, "Error codes": InvalidSnapshot.NotFound."""
    with pytest.raises(ClientError, match="The snapshot 'snap-0123456789abcdef0' does not exist"):
        local_cloud.client("ec2").describe_snapshots(SnapshotIds=["snap-0123456789abcdef0"])


class TestDependencies:
    """EC2 API reference, DeleteSubnet, DeleteVpc, DeleteSecurityGroup: DependencyViolation."""

    def network(self, cloud: LocalCloud, third: int) -> tuple[str, list[str]]:
        ec2 = cloud.client("ec2")
        vpc: str = ec2.create_vpc(CidrBlock=f"172.21.{third}.0/24")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"172.21.{third}.{n * 64}/26", AvailabilityZone=f"us-east-1{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        return vpc, subnets

    def test_a_subnet_below_a_load_balancer_stays(self, local_cloud: LocalCloud) -> None:
        ec2, elb = local_cloud.client("ec2"), local_cloud.client("elbv2")
        _, subnets = self.network(local_cloud, 1)
        [balancer] = elb.create_load_balancer(Name="in-subnet", Subnets=subnets)["LoadBalancers"]
        with pytest.raises(ClientError, match="has dependencies and cannot be deleted") as caught:
            ec2.delete_subnet(SubnetId=subnets[0])
        assert code_of(caught) == "DependencyViolation"
        elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        ec2.delete_subnet(SubnetId=subnets[0])

    def test_a_vpc_with_a_gateway_or_a_group_stays(self, local_cloud: LocalCloud) -> None:
        ec2 = local_cloud.client("ec2")
        vpc, subnets = self.network(local_cloud, 2)
        for subnet in subnets:
            ec2.delete_subnet(SubnetId=subnet)
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
        group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
        for remove in (
            lambda: ec2.detach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway),
            lambda: ec2.delete_security_group(GroupId=group),
        ):
            with pytest.raises(ClientError) as caught:
                ec2.delete_vpc(VpcId=vpc)
            assert code_of(caught) == "DependencyViolation"
            remove()
        ec2.delete_vpc(VpcId=vpc)


def test_a_dry_run_is_checked_like_a_launch(local_cloud: LocalCloud, source: str) -> None:
    """EC2 API reference, RunInstances: "DryRun"; a UEFI image does not start on t2 ("Boot modes")."""
    ec2 = local_cloud.client("ec2")
    given = {"ImageId": source, "MinCount": 1, "MaxCount": 1, "DryRun": True}
    for kind, code in (("t2.micro", "InvalidParameterValue"), ("t3.micro", "DryRunOperation")):
        with pytest.raises(ClientError) as caught:
            ec2.run_instances(**given, InstanceType=kind)
        assert code_of(caught) == code
    assert ec2.describe_instances()["Reservations"] == []


def test_interfaces_go_with_their_instance(client: Any, image_id: str) -> None:
    """EC2 user guide, "Network interface basics": the primary interface is deleted on termination."""
    ec2 = client("ec2")
    before = [i["NetworkInterfaceId"] for i in ec2.describe_network_interfaces()["NetworkInterfaces"]]
    launched = ec2.run_instances(ImageId=image_id, InstanceType="t3.small", MinCount=1, MaxCount=1)
    instance_id = launched["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance_id])
    after = [i["NetworkInterfaceId"] for i in ec2.describe_network_interfaces()["NetworkInterfaces"]]
    assert after == before
