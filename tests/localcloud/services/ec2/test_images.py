"""RegisterImage, DeregisterImage and DeleteSnapshot check what AWS checks. Source: EC2 API reference."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud, block, code_of


def register(cloud: LocalCloud, name: str, snapshot_id: str, **changed: Any) -> str:
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id, "VolumeType": "gp3"}}
    parameters = {
        "Name": name,
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/xvda",
        "VirtualizationType": "hvm",
        "EnaSupport": True,
        "BootMode": "uefi",
        "ImdsSupport": "v2.0",
        "BlockDeviceMappings": [mapping],
        **changed,
    }
    image_id: str = cloud.client("ec2").register_image(
        **{key: value for key, value in parameters.items() if value is not None}
    )["ImageId"]
    return image_id


@pytest.fixture(scope="module")
def snapshot_id(local_cloud: LocalCloud) -> str:
    return local_cloud.snapshot({0: block(1)}, size=2)


def test_an_image_is_described_as_it_was_registered(local_cloud: LocalCloud, snapshot_id: str) -> None:
    tags = [{"ResourceType": "image", "Tags": [{"Key": "ingot:digest", "Value": "d1"}]}]
    image_id = register(local_cloud, "described", snapshot_id, TagSpecifications=tags)
    ec2 = local_cloud.client("ec2")
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    by_tag = [{"Name": "tag:ingot:digest", "Values": ["d1"]}]
    (image,) = ec2.describe_images(Owners=["self"], Filters=by_tag)["Images"]
    assert image["ImageId"] == image_id
    found = [
        image[key] for key in ("Architecture", "BootMode", "ImdsSupport", "EnaSupport", "RootDeviceName")
    ]
    assert found == ["x86_64", "uefi", "v2.0", True, "/dev/xvda"]
    ebs = image["BlockDeviceMappings"][0]["Ebs"]
    assert (ebs["SnapshotId"], ebs["VolumeSize"], ebs["VolumeType"]) == (snapshot_id, 2, "gp3")


def test_the_default_architecture_is_i386(local_cloud: LocalCloud, snapshot_id: str) -> None:
    image_id = register(local_cloud, "default", snapshot_id, Architecture=None, BootMode=None)
    (image,) = local_cloud.client("ec2").describe_images(ImageIds=[image_id])["Images"]
    assert image["Architecture"] == "i386"


MISSING = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"BlockDeviceMappings": MISSING}, "InvalidSnapshot.NotFound"),
        ({"RootDeviceName": "/dev/sda1"}, "InvalidBlockDeviceMapping"),
        ({"Architecture": "sparc"}, "InvalidParameterValue"),
        ({"TpmSupport": "v2.0", "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
    ],
)
def test_wrong_parameters_are_refused(
    local_cloud: LocalCloud, snapshot_id: str, changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        register(local_cloud, "refused", snapshot_id, **changed)
    assert caught.value.response["Error"]["Code"] == code


def test_the_volume_must_hold_the_snapshot(local_cloud: LocalCloud, snapshot_id: str) -> None:
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id, "VolumeSize": 1}}]
    with pytest.raises(ClientError, match="expect size >= 2GB"):
        register(local_cloud, "too small", snapshot_id, BlockDeviceMappings=mapping)


def test_the_snapshot_must_be_completed(local_cloud: LocalCloud) -> None:
    pending = local_cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    with pytest.raises(ClientError, match="invalid state - pending"):
        register(local_cloud, "early", pending)


def test_a_name_is_used_once(local_cloud: LocalCloud, snapshot_id: str) -> None:
    register(local_cloud, "twice", snapshot_id)
    with pytest.raises(ClientError, match=r"InvalidAMIName\.Duplicate"):
        register(local_cloud, "twice", snapshot_id)


def test_a_snapshot_in_use_stays_until_its_image_is_gone(local_cloud: LocalCloud) -> None:
    ec2 = local_cloud.client("ec2")
    used = local_cloud.snapshot({0: block(1)})
    image_id = register(local_cloud, "in use", used)
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.InUse"):
        ec2.delete_snapshot(SnapshotId=used)
    result = ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert result["DeleteSnapshotResults"] == [{"SnapshotId": used, "ReturnCode": "success"}]
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.NotFound"):
        ec2.describe_snapshots(SnapshotIds=[used])


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
