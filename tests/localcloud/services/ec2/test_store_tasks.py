"""AMIs as objects in S3: what EC2 stores comes back block by block, and what AWS refuses is refused."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.services.ec2 import store_tasks
from tests.localcloud.conftest import LocalCloud, block, code_of, launch, running_cloud


@pytest.fixture
def cloud(tmp_path):
    with running_cloud(tmp_path / "cloud", machines=False) as cloud:
        yield cloud


@pytest.fixture
def bucket(cloud: LocalCloud) -> str:
    cloud.client("s3").create_bucket(Bucket="images")
    return "images"


def register(cloud: LocalCloud, name: str = "web", **changed: Any) -> str:
    snapshot = cloud.snapshot({0: block(1), 7: block(2)}, Tags=[{"Key": "of", "Value": "a snapshot"}])
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}
    ec2 = cloud.client("ec2")
    image_id: str = ec2.register_image(
        Name=name,
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/xvda",
        BootMode="uefi",
        ImdsSupport="v2.0",
        EnaSupport=True,
        BlockDeviceMappings=[mapping],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "k", "Value": "stored"}]}],
        **changed,
    )["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    return image_id


def wait(cloud: LocalCloud, image_id: str) -> dict[str, Any]:
    ec2 = cloud.client("ec2")
    while True:
        [task, *_] = ec2.describe_store_image_tasks(ImageIds=[image_id])["StoreImageTaskResults"]
        if task["StoreTaskState"] != "InProgress":
            return dict(task)


def store(cloud: LocalCloud, image_id: str, bucket: str) -> str:
    key: str = cloud.client("ec2").create_store_image_task(ImageId=image_id, Bucket=bucket)["ObjectKey"]
    assert wait(cloud, image_id)["StoreTaskState"] == "Completed"
    return key


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return code_of(caught)


def test_what_is_stored_is_restored_with_all_blocks_and_tags_under_a_new_id(cloud, bucket):
    ec2, image_id = cloud.client("ec2"), register(cloud)
    key = ec2.create_store_image_task(
        ImageId=image_id, Bucket=bucket, S3ObjectTags=[{"Key": "mine", "Value": "1"}]
    )["ObjectKey"]
    task = wait(cloud, image_id)
    assert (key, task["S3objectKey"], task["Bucket"]) == (f"{image_id}.bin", key, bucket)
    assert (task["StoreTaskState"], task["ProgressPercentage"]) == ("Completed", 100)
    tags = cloud.client("s3").get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert {"Key": "mine", "Value": "1"} in tags
    assert {"Key": "ami-name", "Value": "web"} in tags
    # The AMI and its snapshot may be gone by then.
    ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    specifications = [{"ResourceType": "image", "Tags": [{"Key": "new", "Value": "1"}]}]
    restored = ec2.create_restore_image_task(Bucket=bucket, ObjectKey=key, TagSpecifications=specifications)[
        "ImageId"
    ]
    assert restored != image_id
    ec2.get_waiter("image_available").wait(ImageIds=[restored], WaiterConfig={"Delay": 1})
    [image] = ec2.describe_images(ImageIds=[restored])["Images"]
    assert (image["Name"], image["BootMode"], image["ImdsSupport"]) == ("web", "uefi", "v2.0")
    assert {tag["Key"]: tag["Value"] for tag in image["Tags"]} == {"k": "stored", "new": "1"}
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    [snapshot] = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert snapshot["Tags"] == [{"Key": "of", "Value": "a snapshot"}]
    ebs = cloud.client("ebs")
    listed = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]
    data = {
        one["BlockIndex"]: ebs.get_snapshot_block(
            SnapshotId=snapshot_id, BlockIndex=one["BlockIndex"], BlockToken=one["BlockToken"]
        )["BlockData"].read()
        for one in listed
    }
    assert data == {0: block(1), 7: block(2)}
    assert launch(cloud.client, restored, "a clone").startswith("i-")


def test_refusals(cloud, bucket):
    ec2, image_id = cloud.client("ec2"), register(cloud)
    create, restore = ec2.create_store_image_task, ec2.create_restore_image_task
    assert refused(create, ImageId="ami-0123456789abcdef0", Bucket=bucket) == "InvalidAMIID.NotFound"
    assert refused(create, ImageId=image_id, Bucket="nowhere") == "NoSuchBucket"
    assert refused(create, ImageId=image_id, Bucket=bucket, DryRun=True) == "DryRunOperation"
    key = store(cloud, image_id, bucket)
    assert refused(create, ImageId=image_id, Bucket=bucket) == "InvalidRequest", "twice in one bucket"
    assert refused(restore, Bucket=bucket, ObjectKey="ami-x.bin") == "NoSuchKey"
    assert refused(restore, Bucket=bucket, ObjectKey=key) == "InvalidAMIName.Duplicate"
    assert refused(restore, Bucket=bucket, ObjectKey=key, Name="a*b") == "InvalidAMIName.Malformed"
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 1
    many = [f"ami-{number:017x}" for number in range(21)]
    assert refused(ec2.describe_store_image_tasks, ImageIds=many) == "InvalidParameterValue"


def test_the_bucket_is_in_the_region_of_the_request(cloud):
    cloud.client("s3", "eu-west-1").create_bucket(
        Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    image_id = register(cloud)
    create = cloud.client("ec2").create_store_image_task
    assert refused(create, ImageId=image_id, Bucket="elsewhere") == "InvalidParameterValue"


def test_an_ami_of_somebody_else_is_stored_when_it_is_shared(cloud, bucket):
    from moto.ec2.models import ec2_backends

    image_id = register(cloud)
    image = ec2_backends[cloud.context.account]["us-east-1"].amis[image_id]
    image.owner_id = "210987654321"
    create = cloud.client("ec2").create_store_image_task
    assert refused(create, ImageId=image_id, Bucket=bucket) == "AuthFailure"
    image.launch_permissions.append({"UserId": cloud.context.account})
    store(cloud, image_id, bucket)


def test_a_large_ami_and_too_many_at_once_are_refused(cloud, bucket, monkeypatch):
    image_id = register(cloud)
    create = cloud.client("ec2").create_store_image_task
    monkeypatch.setattr(store_tasks, "LARGEST", 0)
    assert refused(create, ImageId=image_id, Bucket=bucket) == "InvalidRequest"
    monkeypatch.undo()
    monkeypatch.setattr(store_tasks, "AT_ONCE", 0)
    assert refused(create, ImageId=image_id, Bucket=bucket) == "ResourceCountExceeded"


def test_what_is_no_stored_ami_is_not_restored(cloud, bucket):
    s3, image_id = cloud.client("s3"), register(cloud)
    restore = cloud.client("ec2").create_restore_image_task
    s3.put_object(Bucket=bucket, Key="x.bin", Body=b"something")
    assert refused(restore, Bucket=bucket, ObjectKey="x.bin") == "InvalidRequest"
    key = store(cloud, image_id, bucket)
    whole = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key="cut.bin", Body=whole[:-10])
    assert refused(restore, Bucket=bucket, ObjectKey="cut.bin", Name="cut") == "InvalidRequest"
