"""One image, booted alone: no cloud around it but its metadata service."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingot.machines.accelerator import choose_accelerator
from ingot.machines.machine import Machine
from ingot.machines.metadata import Metadata, Options
from ingot.machines.pool import SpawningThread
from ingot.machines.qemu import DataDisk, MachineSpec

PRIVATE_IP = "172.31.0.10"  # an address of a default VPC
MAC = "02:00:ac:1f:00:0a"


@dataclass(frozen=True)
class Hardware:
    """What an image boots on. With one processor an emulated kernel cannot trip over another: see below.

    ``channel``: whether it has a second serial port (:data:`ingot.machines.qemu.CHANNEL`).
    """

    architecture: str = "x86_64"
    memory_mib: int = 1024
    cpus: int = 2
    data: tuple[DataDisk, ...] = ()
    channel: bool = False


@contextmanager
def booted_alone(
    disk: Path,
    directory: Path,
    *,
    user_data: Mapping[str, Any] | None = None,
    hardware: Hardware = Hardware(),
    keep: bool = False,
) -> Iterator[Machine]:
    """Boot an overlay of a raw disk; the disk stays as it is. The machine has ended when the context is left.

    ``directory`` is where the machine lives; it is removed unless ``keep``. ``user_data`` is given to it as
    JSON. Raises CloudError or MissingToolError when it does not start.

    QEMU before 8.1 can run an instruction that another emulated processor has just replaced: now and then a
    kernel that patches itself panics (QEMU's commit cb62bd15e14e). With one processor it cannot.
    """
    instance_id = f"i-{secrets.token_hex(8)}0"
    home = directory / instance_id
    spec = MachineSpec(
        instance_id,
        hardware.memory_mib,
        hardware.cpus,
        PRIVATE_IP,
        MAC,
        disk,
        disk.stat().st_size,
        f"vol-{instance_id[2:]}",
        architecture=hardware.architecture,
        data=hardware.data,
        channel=hardware.channel,
    )
    metadata = Metadata(options=Options, tree=lambda: _tree(instance_id, hardware.architecture, user_data))
    spawner = SpawningThread()
    accelerator = choose_accelerator(directory / "accelerator.json", hardware.architecture)
    machine = Machine(
        spec, home, metadata, accelerator=accelerator, spawn=spawner, on_exit=lambda machine, cause: None
    )
    try:
        machine.start()
        yield machine
    finally:
        machine.kill()
        spawner.stop()
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def _tree(instance_id: str, architecture: str, user_data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata that an image needs to boot and to tell who it is."""
    host = f"ip-{PRIVATE_IP.replace('.', '-')}.ec2.internal"
    zone, region = "us-east-1a", "us-east-1"
    identity = {
        "accountId": "123456789012",
        "architecture": architecture,
        "availabilityZone": zone,
        "imageId": "ami-00000000000000000",
        "instanceId": instance_id,
        "instanceType": "t3.micro" if architecture == "x86_64" else "t4g.micro",
        "pendingTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "privateIp": PRIVATE_IP,
        "region": region,
        "version": "2017-09-30",
    }
    return {
        "meta-data": {
            "ami-id": identity["imageId"],
            "ami-launch-index": "0",
            "hostname": host,
            "instance-id": instance_id,
            "instance-type": identity["instanceType"],
            "local-hostname": host,
            "local-ipv4": PRIVATE_IP,
            "mac": MAC,
            "placement": {"availability-zone": zone, "region": region},
        },
        "dynamic": {"instance-identity": {"document": json.dumps(identity, indent=2)}},
        "user-data": None if user_data is None else json.dumps(user_data),
    }
