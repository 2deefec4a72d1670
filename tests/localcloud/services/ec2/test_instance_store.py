"""AMIs with their root on an instance store: registered from S3, launched from their parts, and what EC2 does
not do with them. Their disk is one boot sector, so that each machine is up in a second.
"""

import hashlib
import random

import pytest
from botocore.exceptions import ClientError

from ingot.aws.instance_store.bundle import MANIFEST, DiskSource, bundle
from ingot.aws.instance_store.keys import BundleKeys
from ingot.aws.publish.blocks import BlockMap, DiskReader
from ingot.blocks import root_digest
from localcloud.core.environment import CERTIFICATE
from localcloud.services.ec2.instance_store import Bundles
from tests.aws.instance_store.conftest import write_pair
from tests.localcloud.conftest import BLOCK, code_of
from tests.localcloud.services.ec2.test_instances_real import GREETING, HALT, PRINT, eventually, sector, until

BUCKET = "bundles"
# Noise, so that there is a second part.
DISK = sector(PRINT + HALT) + b"".join(random.Random(n).randbytes(BLOCK) for n in range(24)) + bytes(BLOCK)


@pytest.fixture(scope="module")
def world(machine_cloud):
    machine_cloud.client("s3").create_bucket(Bucket=BUCKET)
    return machine_cloud


@pytest.fixture(scope="module")
def objects(world, tmp_path_factory):
    """The parts and the manifest of a bundle for EC2 of this cloud, by their names."""
    directory = tmp_path_factory.mktemp("bundle")
    key, certificate = write_pair(directory, "user")
    keys = BundleKeys.load(key, certificate, world.context.directory / CERTIFICATE)
    disk = directory / "disk.raw"
    disk.write_bytes(DISK)
    blocks = [DISK[at : at + BLOCK] for at in range(0, len(DISK), BLOCK)]
    digests = tuple(None if not block.strip(b"\0") else hashlib.sha256(block).hexdigest() for block in blocks)
    found = {}
    with DiskReader(disk, BlockMap(len(DISK), digests, root_digest(digests))) as reader:
        account = world.context.account
        bundle(
            DiskSource(len(DISK), account, "x86_64", 0, lambda index: reader.read(index)[0]),
            keys,
            found.__setitem__,
        )
    return found


def upload(world, prefix, objects):
    for name, data in objects.items():
        world.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=data, ACL="aws-exec-read")
    return f"{BUCKET}/{prefix}/{MANIFEST}"


def register(world, name, location, **changed):
    given = {
        "Name": name, "ImageLocation": location, "VirtualizationType": "hvm", "BootMode": "legacy-bios",
        "ImdsSupport": "v2.0",
    }  # fmt: skip
    ec2 = world.client("ec2")
    image_id = ec2.register_image(**(given | changed))["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    return image_id


@pytest.fixture(scope="module")
def image_id(world, objects):
    return register(world, "bundled", upload(world, "web", objects))


def run(world, image_id, **changed):
    given = {"ImageId": image_id, "InstanceType": "m3.medium", "MinCount": 1, "MaxCount": 1}
    [instance] = world.client("ec2").run_instances(**(given | changed))["Instances"]
    return instance


def test_it_is_described_as_what_it_is(world, image_id):
    [image] = world.client("ec2").describe_images(
        Owners=["self"], Filters=[{"Name": "root-device-type", "Values": ["instance-store"]}]
    )["Images"]
    assert (image["ImageId"], image["ImageLocation"]) == (image_id, f"{BUCKET}/web/{MANIFEST}")
    found = [image[key] for key in ("RootDeviceType", "RootDeviceName", "Architecture", "BootMode")]
    assert found == ["instance-store", "/dev/sda1", "x86_64", "legacy-bios"]
    assert image["BlockDeviceMappings"] == []


def test_the_parts_give_the_disk_that_was_bundled(world, image_id, tmp_path):
    from moto.ec2.models import ec2_backends

    image = ec2_backends[world.context.account]["us-east-1"].amis[image_id]
    disk = Bundles(world.context).disk(image, tmp_path)
    assert disk.read_bytes() == DISK
    assert disk.stat().st_blocks * 512 < len(DISK)


def test_a_machine_boots_from_the_parts_by_bios_and_loses_its_root(world, image_id):
    ec2 = world.client("ec2")
    launched = run(world, image_id)
    instance_id = launched["InstanceId"]
    assert launched["RootDeviceType"] == "instance-store"
    running = until(world, instance_id, "running")
    assert running["BlockDeviceMappings"] == []
    eventually(
        lambda: ec2.get_console_output(InstanceId=instance_id, Latest=True).get("Output", ""),
        lambda text: GREETING.decode().strip() in text,
    )
    with pytest.raises(
        ClientError, match="does not have an 'ebs' root device type and cannot be stopped"
    ) as no:
        ec2.stop_instances(InstanceIds=[instance_id])
    assert code_of(no) == "UnsupportedOperation"
    with pytest.raises(ClientError) as no:
        ec2.create_image(InstanceId=instance_id, Name="of-it")
    assert code_of(no) == "UnsupportedOperation"
    root = world.context.directory / "machines" / instance_id / "disk.qcow2"
    assert root.exists()
    ec2.terminate_instances(InstanceIds=[instance_id])
    until(world, instance_id, "terminated")
    eventually(root.exists, lambda exists: not exists)


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        (
            {"InstanceType": "t3.micro"},
            "UnsupportedOperation",
            "with an instance-store root device is not supported for the instance type 't3.micro'",
        ),
        ({"InstanceType": "m5.large"}, "UnsupportedOperation", "'m5.large'"),
        ({"InstanceType": "t2.small"}, "UnsupportedOperation", "'t2.small'"),
        (
            {"InstanceInitiatedShutdownBehavior": "stop"},
            "InvalidParameterCombination",
            "can only be used for elastic images",
        ),
        (
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "VolumeSize": 8}}
                ]
            },
            "InvalidBlockDeviceMapping",
            "not supported for instance-store AMIs",
        ),
    ],
)
def test_launches_that_ec2_refuses(world, image_id, changed, code, message):
    with pytest.raises(ClientError, match=message) as caught:
        run(world, image_id, **changed)
    assert code_of(caught) == code


def test_a_bundle_that_lost_a_part_ends_the_launch(world, objects):
    image_id = register(world, "broken", upload(world, "broken", objects))
    damaged = bytearray(objects["image.part.01"])
    damaged[100] ^= 1
    upload(world, "broken", {"image.part.01": bytes(damaged)})
    instance_id = run(world, image_id)["InstanceId"]
    ended = until(world, instance_id, "terminated")
    assert ended["StateReason"]["Code"] == "Client.InternalError"
    assert "the part image.part.01 of the bundle is damaged" in ended["StateReason"]["Message"]


def test_manifests_that_ec2_refuses(world, objects):
    upload(world, "good", objects)
    manifest = objects[MANIFEST]
    for name, text, code in (
        ("none", None, "InvalidManifest"),
        ("text", b"hello", "InvalidManifest"),
        ("parts", manifest.replace(b"<part ", b"<bit "), "InvalidManifest"),
        ("large", manifest.replace(f"<size>{len(DISK)}<".encode(), b"<size>10737418241<"), "InvalidManifest"),
        ("other", manifest.replace(world.context.account.encode(), b"999999999999"), "AuthFailure"),
    ):
        if text is not None:
            upload(world, name, {MANIFEST: text})
        with pytest.raises(ClientError) as caught:
            register(world, name, f"{BUCKET}/{name}/{MANIFEST}")
        assert code_of(caught) == code, name
    with pytest.raises(ClientError) as caught:
        register(world, "arm", f"{BUCKET}/good/{MANIFEST}", Architecture="arm64")
    assert code_of(caught) == "InvalidManifest"
    with pytest.raises(ClientError) as caught:
        register(world, "bundled", f"{BUCKET}/good/{MANIFEST}")
    assert code_of(caught) == "InvalidAMIName.Duplicate"
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "Encrypted": True}}
    with pytest.raises(ClientError) as caught:
        register(world, "volume", f"{BUCKET}/good/{MANIFEST}", BlockDeviceMappings=[mapping])
    assert code_of(caught) == "InvalidParameterCombination"


def test_it_is_neither_stored_nor_copied_as_amis_of_snapshots_are(world, image_id):
    ec2 = world.client("ec2")
    with pytest.raises(ClientError, match="backed by Amazon EBS"):
        ec2.create_store_image_task(ImageId=image_id, Bucket=BUCKET)
    with pytest.raises(ClientError) as caught:
        ec2.copy_image(SourceImageId=image_id, SourceRegion="us-east-1", Name="copy")
    assert code_of(caught) == "UnsupportedOperation"


def test_deregistered_it_leaves_its_parts(world, objects):
    image_id = register(world, "gone", upload(world, "gone", objects))
    world.client("ec2").deregister_image(ImageId=image_id)
    left = world.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="gone/")["Contents"]
    assert len(left) == len(objects)
