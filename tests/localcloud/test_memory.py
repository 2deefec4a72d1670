"""How much memory a local cloud takes, fresh and after many images were published to it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ingot import cloud_record
from tests.localcloud.conftest import BLOCK, block, put_block
from tests.served import free_port

MIB = 2**20
# moto and what it loads for the first request of each service; measured: 191 MiB, and 85 more by one publish.
FRESH = 200 * MIB
# Forty publishes here are 160 MiB of blocks, none of which may stay in memory. What the allocator keeps for
# its threads still grows after the first forty and then stands; six times forty measured: 80, 19, 11, 1, 1
# and 0 MiB, and 25 the second time on a busy machine. A cloud that keeps one block in four is over a quarter.
PUBLISHES = 40
BLOCKS = 8
GROWTH = PUBLISHES * BLOCKS * BLOCK // 4


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[cloud_record.CloudRecord]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    monkeypatch.setenv("INGOT_URL_PORT", str(free_port()))
    command = [sys.executable, "-m", "localcloud"]
    subprocess.run([*command, "up", "--port", str(free_port())], env=os.environ, check=True)
    record = cloud_record.running()
    assert record is not None
    yield record
    subprocess.run([*command, "down"], env=os.environ, check=True)


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds, those that are swapped out included."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = (re.search(rf"{key}:\s+(\d+) kB", status) for key in ("VmRSS", "VmSwap"))
    return sum(int(match[1]) * 1024 for match in found if match is not None)


def publish(client: Any, count: int) -> None:
    """Publish images of BLOCKS blocks each, all at once."""
    ebs, ec2, ssm = client("ebs"), client("ec2"), client("ssm")
    snapshots = [ebs.start_snapshot(VolumeSize=2)["SnapshotId"] for _ in range(count)]
    for number, snapshot in enumerate(snapshots):
        for index in range(BLOCKS):
            put_block(ebs, snapshot, index, block((number * BLOCKS + index) % 255 + 1))
        ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=BLOCKS)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=snapshots, WaiterConfig={"Delay": 1})
    for snapshot in snapshots:
        mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}
        image = ec2.register_image(
            Name=f"ingot/{snapshot}",
            Architecture="x86_64",
            VirtualizationType="hvm",
            EnaSupport=True,
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[mapping],
        )["ImageId"]
        ssm.put_parameter(Name=f"/ingot/web/{snapshot}", Value=image, Type="String")


@pytest.mark.slow
def test_memory_is_bounded_however_many_images_are_published(daemon: cloud_record.CloudRecord) -> None:
    assert resident(daemon.pid) <= FRESH
    environment = daemon.environment

    def client(service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=environment["AWS_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    publish(client, PUBLISHES)
    before = resident(daemon.pid)
    publish(client, PUBLISHES)
    assert resident(daemon.pid) - before <= GROWTH
