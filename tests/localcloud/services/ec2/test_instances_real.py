"""Real QEMU machines through the EC2 API. Their disk is one boot sector, so that each is up in a second."""

import errno
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import BLOCK, processes

GREETING = b"a clone says hello\r\n"
# 16-bit code. Print: mov dx, 0x3f8; mov al, CHAR; out dx, al … (the first serial port; in QEMU the BIOS need
# not set it up)
PRINT = b"\xba\xf8\x03" + b"".join(bytes([0xB0, char, 0xEE]) for char in GREETING)
HALT = b"\xf4\xeb\xfd"  # hlt; jmp to the hlt
# Power off by ACPI, PM1a control register of q35: mov dx, 0x604; mov ax, 0x2000; out dx, ax
POWER_OFF = b"\xba\x04\x06\xb8\x00\x20\xef"


def sector(code: bytes) -> bytes:
    assert len(code) <= 510
    return (code.ljust(510, b"\0") + b"\x55\xaa").ljust(BLOCK, b"\0")


@pytest.fixture(scope="module")
def world(machine_cloud):
    return machine_cloud


def register(world, name, code, **changed):
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": world.snapshot({0: sector(code)})}}
    ec2 = world.client("ec2")
    given = {
        "Name": name, "Architecture": "x86_64", "VirtualizationType": "hvm", "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [mapping], "EnaSupport": True, "BootMode": "legacy-bios",
        "ImdsSupport": "v2.0",
    }  # fmt: skip
    image_id = ec2.register_image(**(given | changed))["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    return image_id


@pytest.fixture(scope="module")
def stays(world):
    return register(world, "stays", PRINT + HALT)


@pytest.fixture(scope="module")
def ends(world):
    return register(world, "ends", PRINT + POWER_OFF + HALT)


def launch(world, image_id, **changed):
    answer = world.client("ec2").run_instances(
        **({"ImageId": image_id, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | changed)
    )
    [instance] = answer["Instances"]
    return instance


def instance_of(world, instance_id):
    [reservation] = world.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return reservation["Instances"][0]


def until(world, instance_id, state, limit=300):
    return eventually(
        lambda: instance_of(world, instance_id), lambda known: known["State"]["Name"] == state, limit
    )


def eventually(look, condition, limit=300):
    end = time.monotonic() + limit
    while not condition(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def pid_of(world, instance_id):
    [pid] = processes(world.context.directory, instance_id)
    return pid


def test_an_instance_boots_from_the_blocks_of_its_snapshot(world, stays):
    launched = launch(world, stays)
    assert launched["State"]["Name"] == "pending"
    assert launched["MetadataOptions"]["HttpTokens"] == "required"
    until(world, launched["InstanceId"], "running")
    ec2 = world.client("ec2")
    answer = eventually(
        lambda: ec2.get_console_output(InstanceId=launched["InstanceId"], Latest=True),
        lambda found: GREETING.decode().strip() in found["Output"],
    )
    assert answer["InstanceId"] == launched["InstanceId"]
    assert answer["Timestamp"]


def test_its_status_is_ok_once_it_has_come_to_rest(world, stays):
    ec2, instance_id = world.client("ec2"), launch(world, stays)["InstanceId"]
    until(world, instance_id, "running")

    def status():
        [found] = ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"]
        return found["InstanceStatus"]["Status"]

    assert status() in ("initializing", "ok")
    eventually(status, lambda found: found == "ok")


def test_a_killed_machine_is_a_stopped_instance_with_a_reason_and_starts_again(world, stays):
    ec2, instance_id = world.client("ec2"), launch(world, stays)["InstanceId"]
    until(world, instance_id, "running")
    os.kill(pid_of(world, instance_id), 9)
    stopped = until(world, instance_id, "stopped")
    assert stopped["StateReason"]["Code"] == "Server.InternalError"
    ec2.start_instances(InstanceIds=[instance_id])
    until(world, instance_id, "running")


def test_a_type_with_an_instance_store_has_its_disks_blank_after_each_start(world, stays):
    ec2, instance_id = world.client("ec2"), launch(world, stays, InstanceType="m5d.large")["InstanceId"]
    until(world, instance_id, "running")
    words = Path(f"/proc/{pid_of(world, instance_id)}/cmdline").read_bytes().split(b"\0")
    assert [word for word in words if word.endswith(b"=instance-store")]
    [disk] = (world.context.directory / "machines" / instance_id).glob("AWS-*.qcow2")
    first = disk.stat().st_ino
    ec2.stop_instances(InstanceIds=[instance_id])
    until(world, instance_id, "stopped")
    disk.with_suffix(".kept").hardlink_to(disk)  # so that its number is not given again
    ec2.start_instances(InstanceIds=[instance_id])
    until(world, instance_id, "running")
    assert disk.stat().st_ino != first
    described = instance_of(world, instance_id)["BlockDeviceMappings"]
    assert [mapping["DeviceName"] for mapping in described] == ["/dev/xvda"]
    ec2.terminate_instances(InstanceIds=[instance_id])


@pytest.mark.parametrize(("behaviour", "state"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_guest_that_powers_off_stops_or_terminates(world, ends, behaviour, state):
    instance_id = launch(world, ends, InstanceInitiatedShutdownBehavior=behaviour)["InstanceId"]
    ended = until(world, instance_id, state)
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    console = world.client("ec2").get_console_output(InstanceId=instance_id)["Output"]
    assert GREETING.decode().strip() in console


def test_a_guest_that_ends_before_its_start_was_noted_has_run_and_is_stopped(world, ends, monkeypatch):
    """As on a machine that gives the cloud's own thread no time while the guest runs."""

    def wait_for_its_end(line):
        found = re.search(r"runs as process (\d+)", line)
        if found:
            eventually(Path("/proc", found[1]).exists, lambda exists: not exists)

    monkeypatch.setattr(world.log, "before", wait_for_its_end)
    instance_id = launch(world, ends, InstanceInitiatedShutdownBehavior="stop")["InstanceId"]
    ended = until(world, instance_id, "stopped")
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_terminated_instance_leaves_no_process_and_no_disk(world, stays):
    instance_id = launch(world, stays)["InstanceId"]
    until(world, instance_id, "running")
    world.client("ec2").terminate_instances(InstanceIds=[instance_id])
    assert instance_of(world, instance_id)["State"]["Name"] == "shutting-down"
    until(world, instance_id, "terminated")
    directory = world.context.directory / "machines" / instance_id
    eventually(
        lambda: sorted(path.name for path in directory.iterdir()), lambda names: "disk.qcow2" not in names
    )
    assert processes(world.context.directory, instance_id) == []


def test_a_flipped_bit_in_a_stored_block_reaches_the_next_clone(world):
    code = PRINT + HALT + b"flipped"  # a block that no other image has
    image_id = register(world, "flipped", code)
    [block] = [
        path
        for path in (world.context.directory / "ebs" / "blocks").rglob("*")
        if path.is_file() and path.read_bytes() == sector(code)
    ]
    data = bytearray(block.read_bytes())
    place = data.index(bytes([0xB0, ord("h"), 0xEE]) + bytes([0xB0, ord("e"), 0xEE])) + 1
    data[place] ^= 0x20  # h becomes H
    try:
        block.chmod(0o644)
        block.write_bytes(data)
        instance_id = launch(world, image_id)["InstanceId"]
        until(world, instance_id, "running")
        ec2 = world.client("ec2")
        eventually(
            lambda: ec2.get_console_output(InstanceId=instance_id)["Output"],
            lambda text: "a clone says Hello" in text,
        )
    finally:
        block.write_bytes(sector(code))


def test_a_launch_template_gives_type_options_and_mappings(world, stays):
    ec2 = world.client("ec2")
    data = {
        "ImageId": stays,
        "InstanceType": "t3.micro",
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 3}}],
    }
    template = ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)["LaunchTemplate"][
        "LaunchTemplateId"
    ]
    answer = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"}, MinCount=1, MaxCount=1
    )
    [launched] = answer["Instances"]
    assert launched["InstanceType"] == "t3.micro"
    assert launched["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    known = until(world, launched["InstanceId"], "running")
    [volume] = ec2.describe_volumes(VolumeIds=[known["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Encrypted"], volume["Size"]) == (True, 3)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "m6g.large"}, "InvalidParameterValue"),
    ],
)
def test_aws_refusals(world, stays, given, code):
    with pytest.raises(ClientError) as refusal:
        launch(world, stays, **given)
    assert refusal.value.response["Error"]["Code"] == code


class SlowDisks:
    """A qemu-img before the real one on the PATH: it waits until the test lets it go on."""

    def __init__(self, directory):
        self.began, self.go_on = directory / "began", directory / "go-on"
        tool = directory / "qemu-img"
        tool.write_text(
            f"#!/bin/sh\ntouch '{self.began}'\nwhile [ ! -e '{self.go_on}' ]; do sleep 0.05; done\n"
            f"exec '{shutil.which('qemu-img')}' \"$@\"\n"
        )
        tool.chmod(0o755)

    def wait(self):
        eventually(self.began.exists, bool)


@pytest.fixture
def slow_disks(tmp_path, monkeypatch):
    disks = SlowDisks(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    yield disks
    disks.go_on.touch()


def test_an_instance_that_is_terminated_while_its_disk_is_made_leaves_no_machine(world, stays, slow_disks):
    instance_id = launch(world, stays)["InstanceId"]
    slow_disks.wait()
    world.client("ec2").terminate_instances(InstanceIds=[instance_id])
    until(world, instance_id, "terminated")
    slow_disks.go_on.touch()
    eventually(lambda: [line for line in world.log if f"{instance_id} runs as" in line], bool)
    eventually(lambda: processes(world.context.directory, instance_id), lambda found: not found, limit=20)
    disk = world.context.directory / "machines" / instance_id / "disk.qcow2"
    eventually(disk.exists, lambda exists: not exists, limit=20)
    assert instance_of(world, instance_id)["State"]["Name"] == "terminated"


def test_an_instance_whose_process_cannot_be_written_down_is_terminated(
    world, stays, slow_disks, monkeypatch
):
    """As on a disk that is full by then."""
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if Path(target).name == "process.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(path, target)

    instance_id = launch(world, stays)["InstanceId"]
    slow_disks.wait()
    directory = world.context.directory / "machines" / instance_id
    monkeypatch.setattr(Path, "replace", full)
    slow_disks.go_on.touch()
    ended = until(world, instance_id, "terminated", limit=60)
    assert ended["StateReason"]["Code"] == "Server.InternalError"
    assert "process.json" in ended["StateReason"]["Message"]
    assert processes(world.context.directory, instance_id) == []
    assert not (directory / "disk.qcow2").exists()


def test_an_instance_whose_blocks_cannot_be_read_is_terminated(world):
    code = PRINT + HALT + b"lost"  # a block that no other image has
    image_id = register(world, "lost", code)
    [block] = [
        path
        for path in (world.context.directory / "ebs" / "blocks").rglob("*")
        if path.is_file() and path.read_bytes() == sector(code)
    ]
    block.unlink()
    ended = until(world, launch(world, image_id)["InstanceId"], "terminated", limit=60)
    assert ended["StateReason"]["Code"] == "Server.InternalError"
    assert block.name in ended["StateReason"]["Message"]


class TestRefusedBeforeAnythingExists:
    """No instance stays in the account when AWS says no."""

    @pytest.fixture(autouse=True)
    def nothing_is_launched(self, world):
        def known():
            reservations = world.client("ec2").describe_instances()["Reservations"]
            return [i["InstanceId"] for r in reservations for i in r["Instances"]]

        before = known()
        yield
        assert known() == before

    def refused(self, world, image_id, **given):
        with pytest.raises(ClientError) as refusal:
            launch(world, image_id, **given)
        return refusal.value.response["Error"]["Code"]

    def test_a_volume_smaller_than_its_snapshot(self, world):
        snapshot = world.snapshot({0: sector(HALT + b"large")}, size=2)
        mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}
        image_id = register(world, "large", HALT, BlockDeviceMappings=[mapping])
        small = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]
        assert self.refused(world, image_id, BlockDeviceMappings=small) == "InvalidBlockDeviceMapping"

    def test_an_unknown_key_pair(self, world, stays):
        assert self.refused(world, stays, KeyName="nobodys") == "InvalidKeyPair.NotFound"

    @pytest.mark.parametrize(
        ("name", "data", "code"),
        [
            ("by-name", {"IamInstanceProfile": {"Name": "nobodys"}}, "InvalidParameterValue"),
            (
                "by-arn",
                {"IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/nobodys"}},
                "InvalidParameterValue",
            ),
            ("by-key", {"KeyName": "nobodys"}, "InvalidKeyPair.NotFound"),
        ],
    )
    def test_what_a_launch_template_names_and_nobody_has(self, world, stays, name, data, code):
        world.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        named = {"LaunchTemplateName": name, "Version": "1"}
        assert self.refused(world, stays, LaunchTemplate=named) == code


def says_hello(world, image_id):
    """Boot an image until its greeting is on the console."""
    ec2, instance_id = world.client("ec2"), launch(world, image_id)["InstanceId"]
    until(world, instance_id, "running")
    eventually(
        lambda: ec2.get_console_output(InstanceId=instance_id, Latest=True)["Output"],
        lambda output: GREETING.decode().strip() in output,
    )
    return instance_id


def test_a_copied_image_and_one_of_an_instance_boot_the_same_bytes(world, stays):
    """EC2 API reference, CopyImage and CreateImage: a running instance is rebooted unless NoReboot is set."""
    ec2 = world.client("ec2")
    copy_id = ec2.copy_image(Name="a copy", SourceImageId=stays, SourceRegion="us-east-1")["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[copy_id], WaiterConfig={"Delay": 1})
    instance_id = says_hello(world, copy_id)
    with pytest.raises(ClientError, match="at rest only"):
        ec2.create_image(InstanceId=instance_id, Name="crash-consistent", NoReboot=True)
    before = pid_of(world, instance_id)
    image_id = ec2.create_image(InstanceId=instance_id, Name="of an instance")["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    eventually(
        lambda: processes(world.context.directory, instance_id), lambda pids: pids not in ([], [before])
    )
    assert instance_of(world, instance_id)["State"]["Name"] == "running"
    says_hello(world, image_id)
    snapshots = [
        image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        for image in ec2.describe_images(ImageIds=[stays, copy_id, image_id])["Images"]
    ]
    ebs = world.client("ebs")
    for snapshot_id in snapshots:
        [block] = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]
        read = ebs.get_snapshot_block(
            SnapshotId=snapshot_id, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"]
        )
        assert read["BlockData"].read() == sector(PRINT + HALT)
