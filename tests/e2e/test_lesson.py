"""The lesson, by the commands of docs/lesson.md: a root volume is baked, published, read back, archived in
S3, deleted, restored, and launched, from EBS and from an instance store; the clones have the same packages,
users, groups and configuration.
"""

import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from ingot.aws.instances import console
from ingot.store import Store
from localcloud.core import environment
from tests.localcloud.conftest import baked_store, machine_cloud, web_image

__all__ = ["baked_store", "machine_cloud", "web_image"]
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
# `aws SERVICE OPERATION --some-parameter VALUE …`, as the AWS CLI reads it, by boto3: the CLI itself is not
# needed to run the tests.
AWS = """#!{python}
import json, sys
import boto3
from botocore import xform_name

service, operation, *words = sys.argv[1:]
client = boto3.client({{"s3api": "s3"}}.get(service, service))
method = operation.replace("-", "_")
shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
members = {{xform_name(name, "-"): (name, member.type_name) for name, member in shape.members.items()}}
given = {{}}
if (service, operation) == ("ec2", "run-instances"):
    members |= {{"min-count": ("MinCount", "integer"), "max-count": ("MaxCount", "integer")}}
while words:
    name, kind = members[words.pop(0).removeprefix("--")]
    if kind == "boolean":
        given[name] = True
    else:
        text = words.pop(0)
        given[name] = int(text) if kind == "integer" else json.loads(text) if kind == "structure" else text
print(getattr(client, method)(**given))
"""


def commands():
    """The page's shell blocks, as one script."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/lesson.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 7
    return "".join(blocks)


@pytest.fixture
def shell(machine_cloud, baked_store, tmp_path):
    """Runs a script as somebody would who reads the page, in this project, with the local cloud."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    (home / "store").symlink_to(baked_store.root)
    shim = programs / "aws"
    shim.write_text(AWS.format(python=sys.executable))
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    search = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    cloud = {
        **machine_cloud.variables,
        environment.EC2_CERTIFICATE: str(machine_cloud.context.directory / environment.CERTIFICATE),
    }
    env = {**clean, **cloud, "INGOT_HOME": str(home), "PATH": search}

    def run(script):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )

    return run


def inventories(cloud, instance_ids, limit=900):
    """What each clone says it has, by its id; waits until all have said it."""
    ec2, end, found = cloud.client("ec2"), time.monotonic() + limit, {}
    while len(found) < len(instance_ids):
        for instance_id in set(instance_ids) - found.keys():
            text = ec2.get_console_output(InstanceId=instance_id, Latest=True).get("Output", "")
            said = console.last_line(text, console.INVENTORY)
            if said is not None:
                found[instance_id] = said
            assert time.monotonic() < end, f"{instance_id} said nothing:\n{console.tail(text)}"
        time.sleep(1)
    return found


def test_from_one_image_all_clones_come_out_exactly_the_same(shell, machine_cloud, web_image):
    done = shell(commands() + "\necho AMIS $AMI $RESTORED $BUNDLED $INGOT_HOME\n")
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    [(first, restored, bundled, home)] = re.findall(
        r"^AMIS (\S+) (\S+) (\S+) (\S+)$", done.stdout, re.MULTILINE
    )
    assert first != restored

    # The copy is bit for bit the disk that was baked: before it was deleted, and after it came back.
    root = web_image.manifest["disk"]["root_digest"]
    proofs = re.findall(
        r"^(ami-\w+) .* root digest (\w+): bit for bit the baked disk", done.stdout, re.MULTILINE
    )
    assert proofs[:2] == [(first, root), (restored, root)]
    [(proved, other_root)] = proofs[2:]
    assert (proved, other_root != root) == (bundled, True)
    images = machine_cloud.client("ec2").describe_images(Owners=["self"])["Images"]
    kinds = {image["ImageId"]: image["RootDeviceType"] for image in images}
    assert kinds == {restored: "ebs", bundled: "instance-store"}

    # One image, two clones, and both are what the recipe says; the third has the other root.
    reservations = machine_cloud.client("ec2").describe_instances()["Reservations"]
    instances = [instance for found in reservations for instance in found["Instances"]]
    clones = [one["InstanceId"] for one in instances if one["RootDeviceType"] == "ebs"]
    [third] = [one["InstanceId"] for one in instances if one["RootDeviceType"] == "instance-store"]
    assert len(clones) == 2
    said = inventories(machine_cloud, [*clones, third])
    expected = web_image.manifest["inventory"]
    assert set(expected) == {"os", "packages", "users", "groups", "files", "services"}
    for section in expected:
        assert {said[clone]["sections"][section] for clone in clones} == {expected[section]}, section
    assert {said[clone]["digest"] for clone in clones} == {web_image.digest}
    assert len({said[clone]["boot"] for clone in (*clones, third)}) == 3, "no machine seen twice"

    # It is its own image, whose files say so; all else is what the others have.
    bundle = Store(Path(home) / "store").manifest(said[third]["digest"])
    assert (bundle["root_device"], bundle["disk"]["root_digest"]) == ("instance-store", other_root)
    assert said[third]["sections"] == bundle["inventory"]
    assert {name for name in expected if bundle["inventory"][name] != expected[name]} <= {"files"}
    with pytest.raises(ClientError, match="cannot be stopped"):
        machine_cloud.client("ec2").stop_instances(InstanceIds=[third])
