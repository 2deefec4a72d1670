"""A fleet of 1,000 stand-ins in a local cloud: what looking at it and verifying it take."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from bench.measure import Case, interleaved
from bench.subject import Settings, Table, spread
from ingot.progress import Progress
from localcloud.core import environment
from localcloud.core.context import CloudContext
from localcloud.server import CloudServer

FLEET, CHANGED = 1000, 3
# Seconds and MiB: what verifying all of it may take.
SECONDS_GOAL, MEMORY_GOAL = 60, 150
DIGEST = hashlib.sha256(b"a recipe").hexdigest()
SECTIONS = ("files", "groups", "os", "packages", "services", "users")
_MIB = 1 << 20
# An instance's console is 64 KiB at most: as long as one that has run for a while.
_NOISE = "[  12.345678] systemd[1]: Started something or other that a machine says.\n" * 860


def run(settings: Settings, report: Progress) -> list[Table]:
    """Return what `ingot status` and `ingot verify fleet` take for a fleet of FLEET."""
    ingot = (sys.executable, "-m", "ingot.cli.main")
    changed: set[str] = set()
    with _cloud(settings, changed) as context:
        report(f"launching {FLEET:,} stand-ins")
        begin = time.monotonic()
        changed.update(_fleet(context)[:: FLEET // CHANGED][:CHANGED])
        launched = time.monotonic() - begin
        variables = {
            **environment.variables(context.port, context.access_key),
            "INGOT_HOME": str(settings.work / "home"),
        }
        verify = (*ingot, "verify", "fleet", "--stack", "Fleet")
        # Three clones differ, so verifying ends with 1: the shell says whether it is those three.
        exactly = f'"$@" | tee /dev/stderr | grep -q "^{CHANGED} clones .*DIFFERS"'
        cases = [
            Case("ingot status", (*ingot, "status", "--stack", "Fleet", "--json"), environment=variables),
            Case("ingot verify fleet", ("sh", "-c", exactly, "-", *verify), environment=variables),
        ]
        samples = interleaved(cases, settings.runs, settings.work, report)
    head = ("case", "seconds", "CPU seconds", "peak of one process, MiB")
    table = Table(f"A fleet of {FLEET:,} clones", head)
    for name, found in samples.items():
        memory = spread([sample.memory / _MIB for sample in found], "{:.0f}")
        times = ([sample.wall for sample in found], [sample.cpu for sample in found])
        table.rows.append((name, *map(spread, times), memory))
    table.notes += [
        f"The goal of verifying is {SECONDS_GOAL} s and {MEMORY_GOAL} MiB; "
        "20 consoles a second are what EC2 allows an account.",
        f"{CHANGED} clones differ, and a run that does not name exactly them fails.",
        f"The local cloud launched the {FLEET:,} stand-ins in {launched:.0f} s.",
    ]
    return [table]


@contextmanager
def _cloud(settings: Settings, changed: set[str]) -> Iterator[CloudContext]:
    def says(instance: str, _image: str) -> str:
        return f"{_NOISE}{_inventory(differs=instance in changed)}\n"

    server = CloudServer(settings.work / "cloud", 0, log=lambda _line: None, says=says)
    context = server.start()
    try:
        yield context
    finally:
        server.reset()
        server.stop()


def _section(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _inventory(*, differs: bool) -> str:
    """Return the line that a clone's console has: docs/verify.md."""
    value = {
        "boot": "6a3f1c52-0d5e-4c8e-9b1a-2f70cde01234",
        "differs": ["/usr/sbin/x added"] if differs else [],
        "digest": DIGEST,
        "recipe": "web",
        "sections": {name: _section(name + " changed" * (differs and name == "files")) for name in SECTIONS},
        "sequence": 1,
        "time": int(time.time()),
        "uptime": 20,
    }
    text = json.dumps(value, separators=(",", ":"))
    return f"ingot-inventory 1 {text} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _fleet(context: CloudContext) -> list[str]:
    """Make the stack of a fleet, and wait until all of its clones are there; return their ids."""
    keys = environment.variables(context.port, context.access_key)

    session: Any = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])

    def client(service: str) -> Any:  # noqa: ANN401 - boto3 has a type for each
        return session.client(service, region_name=context.region, endpoint_url=context.endpoint)

    ec2, autoscaling = client("ec2"), client("autoscaling")
    image = _published(client("ebs"), ec2, client("ssm"))
    ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.small"}
    )
    subnets = ec2.describe_subnets()["Subnets"]
    vpc = subnets[0]["VpcId"]
    [targets] = client("elbv2").create_target_group(Name="fleet", Protocol="HTTP", Port=80, VpcId=vpc)[
        "TargetGroups"
    ]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=FLEET,
        MaxSize=FLEET,
        VPCZoneIdentifier=",".join(subnet["SubnetId"] for subnet in subnets[:2]),
        LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "1"},
        TargetGroupARNs=[targets["TargetGroupArn"]],
    )
    outputs = {
        "Url": "http://x",
        "AutoScalingGroupName": "fleet",
        "RecipeDigest": DIGEST,
        "RecipeName": "web",
    }
    resource = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}
    template = {
        "Resources": {"P": resource},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName="Fleet", TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="Fleet", WaiterConfig={"Delay": 1})
    while True:
        [group] = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        ids = [m["InstanceId"] for m in group["Instances"] if m["LifecycleState"] == "InService"]
        if len(ids) == FLEET:
            return sorted(ids)
        time.sleep(1)


def _published(ebs: Any, ec2: Any, ssm: Any) -> str:  # noqa: ANN401 - boto3 has a type for each
    """Register an AMI as a publish does, on an empty snapshot; return its id."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1})
    inventory = {f"ingot:inventory:{name}": _section(name) for name in SECTIONS}
    tags = {
        "ingot:recipe": "web",
        "ingot:digest": DIGEST,
        "ingot:state": "published",
        "ingot:root-digest": "0" * 64,
        **inventory,
    }
    image: str = ec2.register_image(
        Name="ingot/web",
        Architecture="x86_64",
        VirtualizationType="hvm",
        EnaSupport=True,
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1})
    ssm.put_parameter(Name=f"/ingot/web/{DIGEST}", Type="String", DataType="text", Value=image)
    return image
