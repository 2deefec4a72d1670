"""A local cloud for a module's tests: in this process, on a free port, in a temporary INGOT_HOME."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud.core import environment
from localcloud.core.context import CloudContext
from localcloud.server import CloudServer
from tests.baked import baked_store, web_image

__all__ = ["baked_store", "web_image"]

BLOCK = 524288


class Log(list[str]):
    """What a cloud says. ``before`` is called with each line, and the cloud goes on when it returns."""

    before: Callable[[str], None] = staticmethod(lambda line: None)

    def __call__(self, line: str) -> None:
        self.before(line)
        self.append(line)


@dataclass(frozen=True)
class LocalCloud:
    """A running cloud and the ways to use it."""

    context: CloudContext
    log: Log

    @property
    def variables(self) -> dict[str, str]:
        return environment.variables(self.context.port, self.context.access_key)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.context.endpoint,
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )

    def snapshot(self, blocks: dict[int, bytes], *, size: int = 1, **parameters: Any) -> str:
        """Make a completed snapshot; ``blocks``: index → data."""
        ebs = self.client("ebs")
        snapshot_id: str = ebs.start_snapshot(VolumeSize=size, **parameters)["SnapshotId"]
        for index, data in blocks.items():
            put_block(ebs, snapshot_id, index, data)
        ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=len(blocks))
        waiter = self.client("ec2").get_waiter("snapshot_completed")
        waiter.wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        return snapshot_id

    def image(self, name: str) -> str:
        """Register an AMI that stands on a snapshot with one block."""
        mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": self.snapshot({0: block(1)})}}
        image_id: str = self.client("ec2").register_image(
            Name=name,
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[mapping],
        )["ImageId"]
        return image_id


def block(number: int) -> bytes:
    """Return a block that is all the same byte."""
    return bytes([number]) * BLOCK


def checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put_block(ebs: Any, snapshot_id: str, index: int, data: bytes, **changed: Any) -> Any:
    return ebs.put_snapshot_block(
        **{
            "SnapshotId": snapshot_id,
            "BlockIndex": index,
            "BlockData": data,
            "DataLength": len(data),
            "Checksum": checksum(data),
            "ChecksumAlgorithm": "SHA256",
            **changed,
        }
    )


@contextmanager
def running_cloud(
    directory: Path, *, machines: bool = True, says: Callable[[str, str], str] | None = None
) -> Iterator[LocalCloud]:
    """Run a local cloud with its state in ``directory``, until the block ends; ``says``: with stand-ins."""
    log = Log()
    server = CloudServer(directory, 0, log=log, machines=machines, says=says)
    context = server.start()
    try:
        yield LocalCloud(context, log)
    finally:
        server.reset()  # moto keeps its state in the process: the next module's cloud must not find it
        server.stop()


@pytest.fixture(scope="module")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INGOT_HOME", str(home))
        with running_cloud(home / "cloud") as cloud:
            yield cloud


@pytest.fixture(scope="module")
def machine_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A local cloud with real machines: in the end none of them runs."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud
    assert processes(cloud.context.directory) == []


@pytest.fixture(scope="module")
def stand_in_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A local cloud whose instances run at once and boot nothing; Auto Scaling keeps them."""
    with running_cloud(tmp_path_factory.mktemp("cloud"), says=lambda instance, image: "") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Clients of a control plane without machines, for what never has to boot."""
    with running_cloud(tmp_path_factory.mktemp("cloud"), machines=False) as cloud:
        yield cloud.client


@pytest.fixture(scope="module")
def image_id(client: Any) -> str:
    """An AMI of ``client``'s cloud, on an empty snapshot."""
    return register_empty(client)


def register_empty(client: Any, name: str = "small") -> str:
    """Register an AMI on a snapshot without blocks, and return its id."""
    ebs, ec2 = client("ebs"), client("ec2")
    snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=0)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}
    image_id: str = ec2.register_image(
        Name=name,
        Architecture="x86_64",
        VirtualizationType="hvm",
        EnaSupport=True,
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[mapping],
    )["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    return image_id


def launch(client: Any, image_id: str, token: str, **changed: Any) -> str:
    """Launch one instance and return its id."""
    request = {"MinCount": 1, "MaxCount": 1, "InstanceType": "t3.small", **changed}
    reservation = client("ec2").run_instances(ImageId=image_id, ClientToken=token, **request)
    instance_id: str = reservation["Instances"][0]["InstanceId"]
    return instance_id


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def processes(directory: Path, instance_id: str = "") -> list[int]:
    """Return the pids of the machines of a cloud's directory, or of one of its instances."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory / "machines" / instance_id):
                found.append(int(process.name))
        except OSError:
            continue  # it has just ended
    return found
