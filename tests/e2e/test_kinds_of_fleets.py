"""A fleet without a load balancer, one behind a Network Load Balancer, and a single clone, side by side.

The real CDK CLI deploys them to a local cloud whose instances are stand-ins; `ingot` deploys, looks and
verifies. No machine boots.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from ingot.aws.publish.publish import publish
from ingot.aws.publish.settings import CloneSettings, PublishSettings
from ingot.aws.session.clients import Clients
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests import ROOT
from tests.aws.support import SmallImage, inventory_line, make_image, result_line
from tests.constructs.recipes import write_recipe
from tests.localcloud.conftest import LocalCloud, running_cloud
from tests.localcloud.services.cloudformation.test_cdk import ENVIRONMENT, cdk

pytestmark = pytest.mark.slow
APP = """\
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from ingot.constructs import *

app = App(analytics_reporting=False)

worker = Stack(app, "Worker")
fleet = CloneFleet(
    worker, "Fleet", image=GoldenImage(worker, "Image", recipe="web"), serving=Serving(balanced=False),
    min_clones=2, max_clones=3, refresh=Refresh(warm_up=Duration.seconds(1)),
    schedules={"morning": Schedule("30 7 * * MON-FRI", "Europe/Berlin", min_clones=3)},
    hooks={"ready": Hook("LAUNCHING", timeout=Duration.minutes(30), result="ABANDON", by_clones=True)},
)
add_fleet_outputs(fleet)

tcp = Stack(app, "Tcp")
fleet = CloneFleet(
    tcp, "Fleet", image=GoldenImage(tcp, "Image", recipe="web"), serving=Serving(5432, "TCP"),
    internet_facing=False, min_clones=2, max_clones=2, vpc_cidr="172.21.0.0/16",
    refresh=Refresh(warm_up=Duration.seconds(1)),
)
add_fleet_outputs(fleet)

single = Stack(app, "Single")
isolated = ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
vpc = ec2.Vpc(
    single, "Vpc", max_azs=2, nat_gateways=0, subnet_configuration=[isolated],
    restrict_default_security_group=False, ip_addresses=ec2.IpAddresses.cidr("172.22.0.0/16"),
)
clone = Clone(single, "Clone", image=GoldenImage(single, "Image", recipe="web"), vpc=vpc,
              volume_initialization_rate=200)
add_clone_outputs(clone)
app.synth()
"""


@dataclass
class Project:
    """An app in its directory, and the cloud that it is deployed to."""

    directory: Path
    cloud: LocalCloud
    images: dict[str, SmallImage]

    def ingot(self, *words: str, code: int = 0) -> str:
        environment = {
            **os.environ, **self.cloud.variables, "HOME": str(self.directory.parent),
            "INGOT_HOME": str(self.directory.parent / "home"), "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "ingot.cli.main", *words],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def publish(self, motd: str) -> SmallImage:
        """Change the recipe, and publish a small disk as what it bakes; its clones pass their tests."""
        directory = write_recipe(self.directory, motd=motd)
        digest = recipe_digest(load_recipe(directory))
        small = make_image(self.directory.parent, [motd])
        manifest = {**small.manifest, "recipe_digest": digest, "version": digest[:12]}
        self.images[digest] = image = replace(small, manifest=manifest, digest=digest)
        keys = self.cloud.variables
        session = boto3.Session(
            keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        )
        clients = Clients(session, endpoint_url=self.cloud.context.endpoint)
        name = f"test-{digest[:8]}"
        root = {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3"}
        data: Any = {
            "InstanceType": "t3.small", "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": root}],
        }  # fmt: skip
        template = clients.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        subnets = tuple(subnet["SubnetId"] for subnet in clients.ec2.describe_subnets()["Subnets"][:2])
        settings = CloneSettings(template["LaunchTemplate"]["LaunchTemplateId"], subnets, limit=60.0)
        records = self.directory.parent / "records"
        publish(image, clients, PublishSettings(records, settings, pace=0.01), lambda message: None)
        return image


@contextmanager
def completing(cloud: LocalCloud) -> Iterator[list[str]]:
    """Do what clones would: complete the launch hook of each one that waits; yield who did."""
    autoscaling, done, ended = cloud.client("autoscaling"), list[str](), threading.Event()

    def complete() -> None:
        while not ended.wait(0.5):
            for group in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
                name = group["AutoScalingGroupName"]
                for member in group["Instances"]:
                    if member["LifecycleState"] == "Pending:Wait":
                        [hook] = autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=name)[
                            "LifecycleHooks"
                        ]
                        autoscaling.complete_lifecycle_action(
                            AutoScalingGroupName=name,
                            LifecycleHookName=hook["LifecycleHookName"],
                            LifecycleActionResult="CONTINUE",
                            InstanceId=member["InstanceId"],
                        )
                        done.append(member["InstanceId"])

    thread = threading.Thread(target=complete)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    base = tmp_path_factory.mktemp("kinds")
    images: dict[str, SmallImage] = {}
    known: dict[str, str] = {}  # AMI -> recipe digest

    def says(instance_id: str, ami_id: str) -> str:
        if ami_id not in known:
            [ami] = cloud.client("ec2").describe_images(ImageIds=[ami_id])["Images"]
            known[ami_id] = next(tag["Value"] for tag in ami["Tags"] if tag["Key"] == "ingot:digest")
        image = images[known[ami_id]]
        return f"booting\r\n{result_line(image)}\r\n{inventory_line(image)}\r\n"

    with running_cloud(base / "cloud", says=says) as cloud:
        directory = base / "app"
        directory.mkdir()
        (directory / "app.py").write_text(APP)
        flags = json.loads((ROOT / "cdk.json").read_text())["context"]
        (directory / "cdk.json").write_text(
            json.dumps(
                {"app": f"{sys.executable} app.py", "context": flags | {"ingot:fleet_stack": "Worker"}}
            )
        )
        project = Project(directory, cloud, images)
        bootstrap = cdk(cloud, base, "bootstrap", ENVIRONMENT)
        assert bootstrap.returncode == 0, bootstrap.stderr
        yield project


def test_three_kinds_are_deployed_looked_at_verified_and_given_another_image(project: Project) -> None:
    first = project.publish("one")
    said = project.ingot("deploy", "--require-approval", "never")
    assert "deployed: " in said
    assert {name for name in ("Worker", "Tcp", "Single") if name in said.rpartition("deployed: ")[2]} == {
        "Worker", "Tcp", "Single",
    }  # fmt: skip
    sizes = {"Worker": 2, "Tcp": 2, "Single": 1}
    for stack, size in sizes.items():
        found = json.loads(project.ingot("status", "--stack", stack, "--json"))
        assert found["steady"]
        assert [clone["digest"] for clone in found["clones"]] == [first.digest] * size
        verdict = project.ingot("verify", "fleet", "--stack", stack)
        assert f"{size} of {size} clone" in verdict
    assert "no load balancer" in project.ingot("status")
    second = project.publish("two")
    with completing(project.cloud) as done:
        project.ingot("deploy", "--require-approval", "never")
    for stack, size in sizes.items():
        found = json.loads(project.ingot("status", "--stack", stack, "--json"))
        assert found["steady"]
        assert [clone["digest"] for clone in found["clones"]] == [second.digest] * size
        if stack == "Worker":
            assert {clone["instance_id"] for clone in found["clones"]} <= set(done)
