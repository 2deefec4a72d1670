"""Clones of a real image fetch their configuration with their role's credentials, in the local cloud.

The stack is what `CloneFleet` makes of values, and CloudFormation deploys it. One clone has its permissions;
another one's role has none, until it is granted them. They keep their data on a volume, and have swap: one
has a blank volume, the other an enlarged one with data on it, and an instance store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_secretsmanager as secretsmanager

from ingot.constructs import CloneFleet, GoldenImage, SecretKey, add_fleet_outputs
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from localcloud.services.ec2.instance_types import instance_type
from tests.baked import baked_store
from tests.localcloud.conftest import BLOCK, LocalCloud, running_cloud
from tests.localcloud.services.cloudformation.support import create, events

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root")]
LIMIT = 600  # seconds; the machines are emulated
RECIPE = r"""
name: told
base: {debian: bookworm}
root_volume: {size: 2GiB}
groups: [{name: app, gid: 990}]
users: [{name: app, uid: 990, group: app}]
files:
  - target: /usr/local/bin/app
    mode: "0755"
    content: |
      #!/bin/sh
      sum() { runuser -u app cat "/run/ingot/secrets/$1" | sha256sum | cut -c1-64; }
      printf '\r\napp: %s %s %s %s\r\n' "$LEVEL" "$HOST" "$(sum password)" "$(sum key)" >/dev/ttyS0
      disk=$(findmnt --noheadings --output SOURCE /srv/data)
      printf '\r\nscratch: %s %s %s\r\n' "$(stat --format %a /srv/scratch)" \
        "$(findmnt --noheadings --raw --bytes --output FSTYPE,OPTIONS,SIZE --target /srv/scratch)" \
        "$(findmnt --noheadings --output TARGET --target /srv/scratch)" >/dev/ttyS0
      printf '\r\ndata: %s %s %s, kept: %s, swap: %s\r\n' \
        "$(basename "$disk")" "$(stat --format %U:%a /srv/data)" \
        "$(findmnt --noheadings --raw --bytes --output LABEL,FSTYPE,OPTIONS,SIZE /srv/data)" \
        "$(cat /srv/data/kept 2>/dev/null)" "$(swapon --show=SIZE --noheadings)" >/dev/ttyS0
  - target: /etc/systemd/system/app.service
    content: |
      [Unit]
      After=ingot-swap.service ingot-scratch.service
      [Service]
      Type=oneshot
      RemainAfterExit=yes
      ExecStart=/usr/local/bin/app
      [Install]
      WantedBy=multi-user.target
# The inventory would keep the processor busy, and is other tests' matter.
services: {enable: [app], disable: [ingot-inventory.timer], mask: [ingot-inventory.service]}
configuration:
  environment: {LEVEL: debug, HOST: localhost}
  secrets:
    password: {owner: app, group: app, mode: "0440"}
    key: {owner: app}
  services: [app]
volumes:
  - {name: data, mount: /srv/data, size: 1GiB, owner: app, group: app, mode: "0750", services: [app]}
instance_store: {mount: /srv/scratch, mode: "1777"}
swap: 64MiB
"""
GIB = 1 << 30
WITH_STORE = "m5d.large"
PASSWORD = 'p"ä ss\\word'
KEY = os.urandom(65536)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def app(cloud: LocalCloud, baked_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app's directory with its recipe, whose image is an AMI of the cloud; the values are there."""
    place = tmp_path / "image_recipes" / "told"
    place.mkdir(parents=True)
    (place / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(place)
    write_lock(recipe, resolve_lock(recipe))
    image = baked_store.bake(recipe, logging.getLogger("bake").info)
    ssm = cloud.client("ssm")
    ssm.put_parameter(Name=f"/ingot/told/{image.digest}", Value=ami(cloud, image.disk), Type="String")
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    ssm.put_parameter(Name="/app/host", Value="db.internal", Type="SecureString")
    monkeypatch.chdir(tmp_path)
    secrets = cloud.client("secretsmanager")
    database = json.dumps({"username": "app", "password": PASSWORD})
    return {
        "database": secrets.create_secret(Name="database", SecretString=database)["ARN"],
        "key": secrets.create_secret(Name="key", SecretBinary=KEY)["ARN"],
    }


def ami(cloud: LocalCloud, disk: Path) -> str:
    """Register an AMI of a raw disk's blocks that are not all zero."""
    blocks, zero = {}, bytes(BLOCK)
    with disk.open("rb") as file:
        for index in range(disk.stat().st_size // BLOCK):
            if (data := file.read(BLOCK)) != zero:
                blocks[index] = data
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": cloud.snapshot(blocks, size=2)}}
    return str(
        cloud.client("ec2").register_image(
            Name="told",
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[mapping],
            EnaSupport=True,
            BootMode="uefi",
            ImdsSupport="v2.0",
        )["ImageId"]
    )


def deployed(cloud: LocalCloud, arns: dict[str, str]) -> dict[str, str]:
    """Deploy a fleet of one clone; return the stack's outputs."""
    stack = Stack(App(analytics_reporting=False), "Told")
    secrets = {
        name: secretsmanager.Secret.from_secret_complete_arn(stack, name, arn) for name, arn in arns.items()
    }
    fleet = CloneFleet(
        stack,
        "Fleet",
        image=GoldenImage(stack, "Image", recipe="told"),
        min_clones=1,
        max_clones=1,
        health_grace=Duration.hours(1),
        environment={"LEVEL": "info"},
        parameters={"HOST": "/app/host"},
        secrets={"password": SecretKey(secrets["database"], "password"), "key": secrets["key"]},
    )
    add_fleet_outputs(fleet)
    app = stack.node.root
    assert isinstance(app, App)
    body = (Path(app.synth().directory) / "Told.template.json").read_text()
    stack_state = create(cloud, "told", body, Capabilities=["CAPABILITY_IAM"])
    assert stack_state["StackStatus"] == "CREATE_COMPLETE", events(cloud, "told")
    return {output["OutputKey"]: output["OutputValue"] for output in stack_state["Outputs"]}


def old_volume(cloud: LocalCloud, directory: Path) -> str:
    """Make a snapshot of a volume `data` as a smaller clone left it; return its id.

    Its file system has 64 MiB, and a file.
    """
    disk, tree = directory / "old.raw", directory / "old"
    tree.mkdir()
    (tree / "kept").write_text("it is here")
    command: list[str | Path] = ["mkfs.ext4", "-q", "-L", "data", "-d", tree, disk, "64M"]
    subprocess.run(command, check=True, env={"PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"})
    data = disk.read_bytes()
    pieces = {index: data[index * BLOCK : (index + 1) * BLOCK] for index in range(len(data) // BLOCK)}
    return cloud.snapshot({index: piece for index, piece in pieces.items() if any(piece)})


def bare_profile(cloud: LocalCloud) -> None:
    """Make a role of instances that may do nothing, and its profile: both are named `bare`."""
    iam = cloud.client("iam")
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_role(RoleName="bare", AssumeRolePolicyDocument=trust)
    iam.create_instance_profile(InstanceProfileName="bare")
    iam.add_role_to_instance_profile(InstanceProfileName="bare", RoleName="bare")


def grant_as(cloud: LocalCloud, template: str) -> None:
    """Give the role `bare` the permissions that the fleet's role has."""
    iam, ec2 = cloud.client("iam"), cloud.client("ec2")
    [version] = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    profile = version["LaunchTemplateData"]["IamInstanceProfile"]["Arn"].rpartition("/")[2]
    [role] = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
        policy = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
        text = policy if isinstance(policy, str) else json.dumps(policy)
        iam.put_role_policy(RoleName="bare", PolicyName=name, PolicyDocument=text)


def console_with(cloud: LocalCloud, instance: str, words: str) -> str:
    """Wait until the console of an instance has these words; return all of it."""
    end = time.monotonic() + LIMIT
    while True:
        text = str(cloud.client("ec2").get_console_output(InstanceId=instance, Latest=True).get("Output", ""))
        if words in text:
            return text
        assert time.monotonic() < end, text[-3000:]
        time.sleep(0.5)


def test_clones_have_their_values_when_their_role_may_read_them_and_grow_an_enlarged_volume(
    cloud: LocalCloud, app: Any, tmp_path: Path
) -> None:
    outputs = deployed(cloud, app)
    ec2 = cloud.client("ec2")
    bare_profile(cloud)
    group = cloud.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[outputs["AutoScalingGroupName"]]
    )["AutoScalingGroups"][0]
    launched = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": outputs["LaunchTemplateId"]},
        IamInstanceProfile={"Name": "bare"},
        InstanceType=WITH_STORE,
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": old_volume(cloud, tmp_path), "VolumeSize": 2}}
        ],
        SubnetId=group["VPCZoneIdentifier"].split(",")[0],
        MinCount=1,
        MaxCount=1,
    )
    bare = launched["Instances"][0]["InstanceId"]
    others = ec2.describe_instances()["Reservations"]
    [granted] = {one["InstanceId"] for found in others for one in found["Instances"]} - {bare}

    digests = [hashlib.sha256(value).hexdigest() for value in (PASSWORD.encode(), KEY)]
    line = f"app: info db.internal {digests[0]} {digests[1]}"
    console = console_with(cloud, granted, line)
    assert PASSWORD not in console
    console = console_with(cloud, granted, ", swap: ")
    # The machine has it before the root volume.
    size = data_of(console, owner="app:750", kept="")
    assert 0.9 * GIB < size < GIB
    assert "this instance has no instance-store disk" in console
    assert "configuration cannot be had" not in console

    console = console_with(cloud, bare, "ingot: the configuration cannot be had")
    assert "AccessDeniedException" in console
    assert "assumed-role/bare/" in console
    assert "app: " not in console
    # The service has waited: it starts once the permission is there, without a new boot.
    grant_as(cloud, outputs["LaunchTemplateId"])
    console = console_with(cloud, bare, line)
    console = console_with(cloud, bare, ", swap: ")
    # As it was made, and grown to the volume: what is in use is its service's.
    size = data_of(console, owner="root:755", kept="it is here")
    assert 1.8 * GIB < size < 2 * GIB
    scratch = re.search(r"scratch: 1777 ext4 (\S+) (\d+) /srv/scratch\b", console)
    assert scratch is not None, console[-3000:]
    assert {"nosuid", "nodev"} <= set(scratch[1].split(","))
    kind = instance_type(WITH_STORE)
    assert kind is not None
    assert 0.9 * kind.stores[0] < int(scratch[2]) < kind.stores[0]


def data_of(console: str, *, owner: str, kept: str) -> int:
    """Return the bytes of the file system on the data volume, which must be mounted as the recipe says."""
    found = re.search(
        rf"data: nvme\dn1 {owner} data ext4 rw,nosuid,nodev,relatime\S* (\d+), kept: {kept}, swap: +64M",
        console,
    )
    assert found is not None, console[-3000:]
    return int(found[1])
