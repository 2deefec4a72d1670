"""What a launch is put together of, and what EC2 refuses. Source: EC2 API reference, RunInstances."""

import os
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.ec2.exceptions import EC2ClientError

from localcloud.services.ec2.hypervisors.machines import check_runnable
from localcloud.services.ec2.instance_types import instance_type, local_size
from localcloud.services.ec2.launch import (
    ResolvedLaunch,
    fitting_type,
    mappings,
    metadata_options,
    template_data,
)
from tests.localcloud.conftest import code_of, launch


def image(**changed):
    given = {
        "id": "ami-1", "architecture": "x86_64", "virtualization_type": "hvm", "boot_mode": "uefi",
        "ena_support": True, "imds_support": "v2.0", "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "block_device_mappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-1", "VolumeSize": 2}}
        ],
    }  # fmt: skip
    return SimpleNamespace(**(given | changed))


def test_what_fits_is_launched():
    assert fitting_type(image(), "t3.small").name == "t3.small"


@pytest.mark.parametrize(
    ("changed", "kind", "code"),
    [
        ({"architecture": "i386"}, "t3.small", "InvalidParameterValue"),
        ({"architecture": "arm64"}, "t3.small", "InvalidParameterValue"),
        ({}, "t2.micro", "InvalidParameterValue"),  # Xen: no UEFI
        ({"ena_support": False}, "t3.small", "InvalidParameterCombination"),
        ({"virtualization_type": "paravirtual"}, "t3.small", "InvalidParameterCombination"),
        ({}, "t9.huge", "InvalidParameterValue"),
    ],
)
def test_what_does_not_fit_is_refused(changed, kind, code):
    with pytest.raises(EC2ClientError) as refusal:
        fitting_type(image(**changed), kind)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("changed", "block", "code"),
    [
        ({"architecture": "arm64"}, "172.31.0.0/20", "InsufficientInstanceCapacity"),
        ({}, "10.0.0.0/24", "Unsupported"),
    ],
)
def test_what_this_machine_cannot_run_is_refused(changed, block, code, tmp_path, monkeypatch):
    if "architecture" in changed:
        monkeypatch.setenv("PATH", str(tmp_path))  # no qemu-system-aarch64
    subnet = SimpleNamespace(id="subnet-1", cidr_block=block, availability_zone="us-east-1a")
    launched = ResolvedLaunch(image(**changed), instance_type("m6g.large"), subnet, [], {}, {})
    with pytest.raises(EC2ClientError) as refusal:
        check_runnable(launched)
    assert refusal.value.code == code


def test_imds_support_of_the_ami_makes_tokens_required():
    assert metadata_options(image(), {}, None)["HttpTokens"] == "required"
    assert metadata_options(image(), {}, {"HttpTokens": "optional"})["HttpTokens"] == "optional"
    assert "HttpTokens" not in metadata_options(image(imds_support=None), {}, None)


def test_mappings_are_overlaid_by_device():
    template = {
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": "true", "VolumeSize": "4"}}]
    }
    [root] = mappings(image(), template, None)
    assert root["Ebs"] == {"SnapshotId": "snap-1", "VolumeSize": 4, "Encrypted": True}
    [asked] = mappings(image(), template, [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}])
    assert asked["Ebs"]["VolumeSize"] == 8


def test_what_a_launch_fills_in_is_not_the_templates():
    kept = SimpleNamespace(data={"NetworkInterfaces": [{"DeviceIndex": 0}]})
    backend = SimpleNamespace(_get_template_from_args=lambda _named: kept)
    template_data(backend, {"launch_template": {"LaunchTemplateId": "lt-1"}})["NetworkInterfaces"][0][
        "SubnetId"
    ] = "subnet-1"
    assert kept.data == {"NetworkInterfaces": [{"DeviceIndex": 0}]}


def test_sizes_are_those_of_aws_within_this_machine():
    kind = instance_type("t3.small")
    assert (kind.memory_mib, kind.cpus, kind.architectures) == (2048, 2, ("x86_64",))
    huge = instance_type("m5.24xlarge")
    memory, cpus = local_size(huge, "tcg")
    assert memory < huge.memory_mib
    assert cpus <= len(os.sched_getaffinity(0))


def test_emulated_clones_of_a_burstable_type_leave_processors_to_each_other(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    small, large = instance_type("t3.small"), instance_type("c7i.large")
    assert [local_size(small, how)[1] for how in ("tcg", "kvm")] == [1, 2]
    assert local_size(large, "tcg")[1] == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert local_size(small, "tcg")[1] == 1


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


def test_groups_and_subnet_of_a_launch_are_of_one_network(client: Any, image_id: str) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.20.0.0/24")["Subnet"]["SubnetId"]
    own = ec2.create_security_group(GroupName="own", Description="d", VpcId=vpc)["GroupId"]
    [default] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    other = ec2.create_security_group(GroupName="other", Description="d", VpcId=default["VpcId"])["GroupId"]
    answer = ec2.create_launch_template(
        LaunchTemplateName="grouped",
        LaunchTemplateData={"SecurityGroupIds": [other], "InstanceType": "t3.small"},
    )
    grouped = {"LaunchTemplateId": answer["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}
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


def asked(**ebs):
    return [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10, "VolumeType": "gp3", **ebs}}]


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ([{"DeviceName": "/dev/foo", "Ebs": {"VolumeSize": 1}}], "InvalidParameterValue", "not a valid EBS"),
        (asked() * 2, "InvalidBlockDeviceMapping", "used in more than one"),
        (asked(VolumeSize=70000), "InvalidParameterValue", "too large; maximum is 65536GiB"),
        (asked(Iops=2000), "InvalidParameterValue", "too low; minimum is 3000"),
        (asked(Iops=6000), "InvalidParameterCombination", "ratio of 600.000000 is too high; maximum is 500"),
        (asked(Throughput=100), "InvalidParameterValue", "too low; minimum is 125"),
        (asked(Throughput=1000), "InvalidParameterCombination", "ratio of 0.333333 is too high"),
        (asked(VolumeType="gp2", Iops=3000), "InvalidParameterCombination", "not supported for gp2"),
        (asked(VolumeType="io2", Throughput=250), "InvalidParameterCombination", "not supported for io2"),
        (asked(KmsKeyId="alias/mine"), "InvalidParameterDependency", "requires the parameter Encrypted"),
    ],
)
def test_a_volume_that_ebs_does_not_make_is_refused(given, code, message):
    with pytest.raises(EC2ClientError, match=message) as refusal:
        mappings(image(), {}, given)
    assert refusal.value.code == code


def test_a_launch_makes_the_volumes_that_it_says(client: Any, image_id: str) -> None:
    ec2 = client("ec2")
    wanted = asked(Iops=4000, Throughput=500, Encrypted=True, DeleteOnTermination=True)
    instance = launch(client, image_id, "volumes", BlockDeviceMappings=wanted)
    [found] = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    volumes = {mapping["DeviceName"]: mapping["Ebs"] for mapping in found["BlockDeviceMappings"]}
    assert volumes["/dev/sdf"]["DeleteOnTermination"] is True
    [volume] = ec2.describe_volumes(VolumeIds=[volumes["/dev/sdf"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Iops"]) == (10, "gp3", 4000)
    assert (volume["Throughput"], volume["Encrypted"]) == (500, True)
    ec2.terminate_instances(InstanceIds=[instance])
    with pytest.raises(ClientError) as gone:
        ec2.describe_volumes(VolumeIds=[volume["VolumeId"]])
    assert code_of(gone) == "InvalidVolume.NotFound"
